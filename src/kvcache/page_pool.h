// The pages of the KV cache: numbers into one large buffer, handed out one by one, given back by destruction.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <vector>

namespace tenon::kvcache {

class PagePool;

/// A hold on one page. Holders keep handles, never bare numbers, so that a page is free exactly when no handle is left,
/// whoever holds it.
class Page {
 public:
  Page() = default;
  Page(Page&& other) noexcept;
  Page& operator=(Page&& other) noexcept;
  ~Page();

  std::int32_t id() const { return id_; }  ///< -1: no page
  explicit operator bool() const { return id_ >= 0; }

  /// Another handle of the same page. What is in a shared page must not change any more.
  Page share() const;

 private:
  friend class PagePool;
  Page(PagePool* pool, std::int32_t id) : pool_(pool), id_(id) {}

  PagePool* pool_ = nullptr;
  std::int32_t id_ = -1;
};

struct PoolStats {
  std::int64_t total = 0;
  std::int64_t used = 0;  ///< by sequences; what only the cache holds is not in use
  std::int64_t peak_used = 0;
  std::int64_t cached = 0;  ///< held by the cache alone
};

/// Counts pages; their memory belongs to whoever runs the model. Used by one thread at a time. Outlives its pages
/// (checked).
///
/// A cache may keep pages that nobody else needs: they count as free, and allocate() asks the cache to let one go when
/// no other page is left.
class PagePool {
 public:
  /// Pages 0 .. num_pages - 1.
  explicit PagePool(std::int64_t num_pages);
  ~PagePool();
  PagePool(const PagePool&) = delete;
  PagePool& operator=(const PagePool&) = delete;

  /// The page given back last (its memory is likely to be resident), else one that the cache lets go, or nothing if all
  /// are in use.
  std::optional<Page> allocate();

  std::int64_t free_pages() const { return static_cast<std::int64_t>(free_.size()) + reclaimable_; }
  std::int64_t total_pages() const { return total_; }
  PoolStats stats() const { return {total_, total_ - free_pages(), peak_used_, reclaimable_}; }

  /// `let_one_go` destroys the cache's handle of a page that only the cache holds; called when there is one.
  void set_cache(std::function<void()> let_one_go) { let_one_go_ = std::move(let_one_go); }
  /// One of the handles of this page is the cache's, from now until its last handle is gone or unmark().
  void mark_cached(const Page& page);
  /// The cache is about to drop its handle.
  void unmark_cached(const Page& page);
  /// Whether the cache alone holds it.
  bool only_cached(const Page& page) const;

 private:
  friend class Page;
  struct State {
    std::int32_t holders = 0;
    bool cached = false;
  };
  bool reclaimable(const State& state) const { return state.cached && state.holders == 1; }
  void hold(std::int32_t id);
  void drop(std::int32_t id);

  const std::int64_t total_;
  std::int64_t peak_used_ = 0;
  std::int64_t reclaimable_ = 0;    ///< pages that the cache alone holds
  std::vector<std::int32_t> free_;  ///< a stack
  std::vector<State> states_;       ///< by page
  std::function<void()> let_one_go_;
};

}  // namespace tenon::kvcache
