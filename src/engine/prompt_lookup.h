// What a text may go on with, guessed from what followed the same words before.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace tenon::engine {

/// Prompt lookup decoding (Saxena, 2023; vLLM's "ngram"): the last kWords tokens of a sequence are looked up in the
/// sequence itself, and what followed them where they stood last is the draft. How long it is goes by how the drafts
/// before it fared; after several that were wrong from the first token on there is none for a while.
class PromptLookup {
 public:
  /// Starts with a prompt; there is room for so many tokens of its reply, and more is made when it comes to that.
  void begin(std::span<const std::int32_t> prompt, std::int64_t reply);
  /// A draft of at most `most` tokens for what follows `tokens`: the prompt and the reply until now, with at least
  /// one token more than in the call before. Empty: no guess.
  void propose(std::span<const std::int32_t> tokens, int most, std::vector<std::int32_t>& draft);
  /// Of the last draft so many tokens were tried, and so many of these, from the first on, were right.
  void judge(int tried, int right);

 private:
  static constexpr int kWords = 3;
  static constexpr int kFirstLength = 2, kMostLength = 64;
  static constexpr int kMostMisses = 6;  ///< 2^kMostMisses tokens is the longest pause
  static constexpr std::size_t kMostProbes = 64;

  void reserve(std::size_t length);
  std::int32_t& slot(std::span<const std::int32_t> tokens, std::size_t end);
  void follow(std::span<const std::int32_t> tokens, std::size_t end);

  /// A hash table of kWords tokens each: the position after the place where they stood last; 0: free.
  std::vector<std::int32_t> slots_;
  std::size_t followed_ = 0;  ///< positions up to here are in slots_
  int length_ = kFirstLength, misses_ = 0, pause_ = 0;
};

}  // namespace tenon::engine
