// The pages of the KV cache: numbers into one large buffer, handed out one by one, given back by destruction.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

namespace tenon::kvcache {

class PagePool;

/// Ownership of one page. Holders keep handles, never bare numbers, so that a page is free exactly when no handle is
/// left, whoever holds it.
class Page {
 public:
  Page() = default;
  Page(Page&& other) noexcept;
  Page& operator=(Page&& other) noexcept;
  ~Page();

  std::int32_t id() const { return id_; }  ///< -1: no page
  explicit operator bool() const { return id_ >= 0; }

 private:
  friend class PagePool;
  Page(PagePool* pool, std::int32_t id) : pool_(pool), id_(id) {}

  PagePool* pool_ = nullptr;
  std::int32_t id_ = -1;
};

struct PoolStats {
  std::int64_t total = 0;
  std::int64_t used = 0;
  std::int64_t peak_used = 0;
};

/// Counts pages; their memory belongs to whoever runs the model. Used by one thread at a time. Outlives its pages
/// (checked).
class PagePool {
 public:
  /// Pages 0 .. num_pages - 1.
  explicit PagePool(std::int64_t num_pages);
  ~PagePool();
  PagePool(const PagePool&) = delete;
  PagePool& operator=(const PagePool&) = delete;

  /// The page given back last (its memory is likely to be resident), or nothing if all are in use.
  std::optional<Page> allocate();

  std::int64_t free_pages() const { return static_cast<std::int64_t>(free_.size()); }
  std::int64_t total_pages() const { return total_; }
  PoolStats stats() const { return {total_, total_ - free_pages(), peak_used_}; }

 private:
  friend class Page;
  void give_back(std::int32_t id) { free_.push_back(id); }

  const std::int64_t total_;
  std::int64_t peak_used_ = 0;
  std::vector<std::int32_t> free_;  ///< a stack
};

}  // namespace tenon::kvcache
