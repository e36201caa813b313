#include "sampler/token_history.h"

#include <algorithm>

namespace tenon::sampler {

void TokenHistory::begin(std::span<const std::int32_t> prompt, std::size_t expected) {
  entries_.clear();
  entries_.reserve(prompt.size() + expected);
  for (const std::int32_t token : prompt) entries_.push_back({token, 0});
  std::ranges::sort(entries_, {}, &Entry::token);
  const auto repeated = std::ranges::unique(entries_, {}, &Entry::token);
  entries_.erase(repeated.begin(), repeated.end());
}

void TokenHistory::add(std::int32_t token) {
  auto entry = std::ranges::lower_bound(entries_, token, {}, &Entry::token);
  if (entry == entries_.end() || entry->token != token) entry = entries_.insert(entry, {token, 0});
  ++entry->drawn;
}

}  // namespace tenon::sampler
