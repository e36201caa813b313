#include "kvcache/page_pool.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "base/check.h"

namespace tenon::kvcache {

Page::Page(Page&& other) noexcept : pool_(std::exchange(other.pool_, nullptr)), id_(std::exchange(other.id_, -1)) {}

Page& Page::operator=(Page&& other) noexcept {
  Page taken(std::move(other));  // its old page goes back now, not when `other` dies
  std::swap(pool_, taken.pool_);
  std::swap(id_, taken.id_);
  return *this;
}

Page::~Page() {
  if (pool_) pool_->give_back(id_);
}

PagePool::PagePool(std::int64_t num_pages) : total_(num_pages) {
  TENON_CHECK(num_pages >= 0 && num_pages <= std::numeric_limits<std::int32_t>::max(), std::to_string(num_pages));
  free_.reserve(static_cast<std::size_t>(num_pages));
  for (auto id = static_cast<std::int32_t>(num_pages); id-- > 0;) free_.push_back(id);  // page 0 comes first
}

PagePool::~PagePool() { TENON_CHECK(free_pages() == total_, "a page outlives its pool"); }

std::optional<Page> PagePool::allocate() {
  if (free_.empty()) return std::nullopt;
  const std::int32_t id = free_.back();
  free_.pop_back();
  peak_used_ = std::max(peak_used_, total_ - free_pages());
  return Page(this, id);
}

}  // namespace tenon::kvcache
