// Which tokens a request has seen, and how often it has drawn each: what penalties look at.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace tenon::sampler {

/// The distinct tokens of a prompt and its reply. Memory and time are those of the distinct tokens, not of the
/// vocabulary.
class TokenHistory {
 public:
  struct Entry {
    std::int32_t token = 0;
    std::int32_t drawn = 0;  ///< times in the reply; 0: in the prompt only
  };

  /// Starts with a prompt; room for `expected` further distinct tokens is reserved.
  void begin(std::span<const std::int32_t> prompt, std::size_t expected);
  void add(std::int32_t token);
  std::span<const Entry> entries() const { return entries_; }

 private:
  std::vector<Entry> entries_;  ///< by token
};

}  // namespace tenon::sampler
