#include "kvcache/page_table.h"

#include <algorithm>
#include <utility>

namespace tenon::kvcache {

std::int64_t PageTable::missing(std::int64_t tokens) const {
  return std::max<std::int64_t>(0, pages_for(tokens) - static_cast<std::int64_t>(pages_.size()));
}

bool PageTable::grow(PagePool& pool, std::int64_t tokens) {
  const std::int64_t needed = missing(tokens);
  if (needed > pool.free_pages()) return false;
  for (std::int64_t i = 0; i < needed; ++i) {
    append(*pool.allocate());
  }
  return true;
}

void PageTable::reserve(std::int64_t tokens) {
  pages_.reserve(static_cast<std::size_t>(pages_for(tokens)));
  ids_.reserve(static_cast<std::size_t>(pages_for(tokens)));
}

void PageTable::append(Page page) {
  ids_.push_back(page.id());
  pages_.push_back(std::move(page));
}

void PageTable::replace(std::int64_t i, Page page) {
  ids_[static_cast<std::size_t>(i)] = page.id();
  pages_[static_cast<std::size_t>(i)] = std::move(page);
}

void PageTable::clear() {
  // Backwards, so that the pool's stack hands them out again in their old order.
  while (!pages_.empty()) pages_.pop_back();
  ids_.clear();
}

}  // namespace tenon::kvcache
