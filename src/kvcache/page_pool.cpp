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
  if (pool_) pool_->drop(id_);
}

Page Page::share() const {
  TENON_CHECK(pool_ != nullptr, "sharing no page");
  pool_->hold(id_);
  return Page(pool_, id_);
}

PagePool::PagePool(std::int64_t num_pages) : total_(num_pages) {
  TENON_CHECK(num_pages >= 0 && num_pages <= std::numeric_limits<std::int32_t>::max(), std::to_string(num_pages));
  free_.reserve(static_cast<std::size_t>(num_pages));
  states_.resize(static_cast<std::size_t>(num_pages));
  for (auto id = static_cast<std::int32_t>(num_pages); id-- > 0;) free_.push_back(id);  // page 0 comes first
}

PagePool::~PagePool() { TENON_CHECK(static_cast<std::int64_t>(free_.size()) == total_, "a page outlives its pool"); }

std::optional<Page> PagePool::allocate() {
  if (free_.empty() && reclaimable_ > 0) let_one_go_();
  if (free_.empty()) return std::nullopt;
  const std::int32_t id = free_.back();
  free_.pop_back();
  states_[static_cast<std::size_t>(id)] = {.holders = 1};
  peak_used_ = std::max(peak_used_, total_ - free_pages());
  return Page(this, id);
}

void PagePool::mark_cached(const Page& page) {
  State& state = states_[static_cast<std::size_t>(page.id())];
  TENON_CHECK(!state.cached, "a page is cached twice");
  state.cached = true;
  reclaimable_ += reclaimable(state);
}

void PagePool::unmark_cached(const Page& page) {
  State& state = states_[static_cast<std::size_t>(page.id())];
  reclaimable_ -= reclaimable(state);
  state.cached = false;
}

bool PagePool::only_cached(const Page& page) const { return reclaimable(states_[static_cast<std::size_t>(page.id())]); }

void PagePool::hold(std::int32_t id) {
  State& state = states_[static_cast<std::size_t>(id)];
  reclaimable_ -= reclaimable(state);
  ++state.holders;
  peak_used_ = std::max(peak_used_, total_ - free_pages());
}

void PagePool::drop(std::int32_t id) {
  State& state = states_[static_cast<std::size_t>(id)];
  if (--state.holders == 0) {
    free_.push_back(id);
  } else {
    reclaimable_ += reclaimable(state);
  }
}

}  // namespace tenon::kvcache
