#include "engine/prompt_lookup.h"

#include <algorithm>
#include <bit>

namespace tenon::engine {

void PromptLookup::begin(std::span<const std::int32_t> prompt, std::int64_t reply) {
  reserve(prompt.size() + static_cast<std::size_t>(reply));
  follow(prompt, prompt.size());
}

// No more than half of the slots are taken.
void PromptLookup::reserve(std::size_t length) {
  const std::size_t wanted = std::bit_ceil(2 * length);
  if (wanted <= slots_.size()) return;
  slots_.assign(wanted, 0);
  followed_ = 0;
}

// Where the kWords tokens before `end` have their place, or would have it. A client that knows the hash can have a
// whole prompt ask for the same few slots: after some, others' words are forgotten for these.
std::int32_t& PromptLookup::slot(std::span<const std::int32_t> tokens, std::size_t end) {
  const std::int32_t* words = tokens.data() + end - kWords;
  std::uint64_t hash = 0;
  for (int i = 0; i < kWords; ++i) hash = (hash ^ static_cast<std::uint32_t>(words[i])) * 0x9E3779B97F4A7C15u;
  const std::size_t first = hash >> 32;
  for (std::size_t i = first; i < first + kMostProbes; ++i) {
    std::int32_t& place = slots_[i & (slots_.size() - 1)];
    if (place == 0 || std::equal(words, words + kWords, tokens.data() + place - kWords)) return place;
  }
  std::int32_t& place = slots_[first & (slots_.size() - 1)];
  place = 0;
  return place;
}

void PromptLookup::follow(std::span<const std::int32_t> tokens, std::size_t end) {
  for (std::size_t at = std::max<std::size_t>(followed_, kWords); at < end; ++at) {
    slot(tokens, at) = static_cast<std::int32_t>(at);
  }
  followed_ = std::max(followed_, end);
}

void PromptLookup::propose(std::span<const std::int32_t> tokens, int most, std::vector<std::int32_t>& draft) {
  draft.clear();
  const std::size_t end = tokens.size();
  if (2 * end > slots_.size()) reserve(2 * end);
  follow(tokens, end);
  if (end <= kWords) return;
  std::int32_t& place = slot(tokens, end);
  const auto before = static_cast<std::size_t>(place);
  place = static_cast<std::int32_t>(end);
  followed_ = end + 1;
  if (pause_ > 0) {
    --pause_;
    return;
  }
  if (before == 0 || before == end) return;
  const auto count = static_cast<std::size_t>(std::min(most, length_));
  for (std::size_t i = 0; i < count; ++i) {
    // What repeats itself goes on into its own guess.
    draft.push_back(before + i < end ? tokens[before + i] : draft[before + i - end]);
  }
}

void PromptLookup::judge(int tried, int right) {
  if (tried == 0) return;
  misses_ = right > 0 ? 0 : std::min(misses_ + 1, kMostMisses);
  pause_ = misses_ > 1 ? 1 << misses_ : 0;
  length_ = right == tried ? std::min(std::max(length_, 2 * tried), kMostLength) : std::max(right, 1);
}

}  // namespace tenon::engine
