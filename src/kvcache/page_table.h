// The pages of one sequence, in the order of its positions.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "kvcache/page_pool.h"
#include "tensor/kv_layout.h"

namespace tenon::kvcache {

/// Pages that hold `tokens` positions.
constexpr std::int64_t pages_for(std::int64_t tokens) {
  return (tokens + tensor::kPageTokens - 1) / tensor::kPageTokens;
}

/// Page i holds positions [i * kPageTokens, (i + 1) * kPageTokens).
class PageTable {
 public:
  /// Positions that the table has room for.
  std::int64_t capacity() const { return static_cast<std::int64_t>(pages_.size()) * tensor::kPageTokens; }
  /// Pages to be added before `tokens` positions fit.
  std::int64_t missing(std::int64_t tokens) const;
  /// Adds pages until `tokens` positions fit; false, with nothing changed, if the pool has too few.
  bool grow(PagePool& pool, std::int64_t tokens);
  /// So that it grows to `tokens` without allocating.
  void reserve(std::int64_t tokens);
  /// Adds one page whose positions are computed already.
  void append(Page page);
  /// Page i is now this one, which holds the same.
  void replace(std::int64_t i, Page page);
  const Page& page(std::int64_t i) const { return pages_[static_cast<std::size_t>(i)]; }
  /// Gives all pages back.
  void clear();

  /// Page numbers, in order.
  std::span<const std::int32_t> ids() const { return ids_; }

 private:
  std::vector<Page> pages_;
  std::vector<std::int32_t> ids_;  ///< of pages_, side by side for batch/
};

}  // namespace tenon::kvcache
