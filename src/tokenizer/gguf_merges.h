// The merges of a BPE tokenizer, from the metadata of a GGUF file.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace tenon::tokenizer {

/// Token -> id; of two tokens with one spelling the first counts. (A flat table: making merges asks it two million
/// times.)
class VocabularyIds {
 public:
  static constexpr std::uint32_t kNone = 0xFFFFFFFF;

  /// `tokens` must outlive it.
  explicit VocabularyIds(const std::vector<std::string>& tokens);
  std::uint32_t find(std::string_view token) const;

 private:
  struct Slot {
    std::uint32_t hash;
    std::uint32_t id = kNone;
  };
  std::size_t slot_of(std::string_view token, std::uint32_t hash) const;

  const std::vector<std::string>& tokens_;
  std::vector<Slot> slots_;  ///< a power of two of them, at most half of them taken
};

/// Two tokens that become one; the first in a list is merged first.
struct MergePair {
  std::uint32_t left, right;
};

/// A token that merges may make.
struct MergePiece {
  std::uint32_t id;
  bool user_defined;  ///< SentencePiece looks for these before all others, whatever their scores
  double score;
};

/// "left right" of a byte-level vocabulary, which spells the space otherwise.
Result<std::vector<MergePair>> parse_merges(const std::vector<std::string>& merges, const VocabularyIds& ids);

/// SentencePiece keeps scores, not merges: every cut of a piece into two others is a merge, the better piece's first.
/// The order is that of Hugging Face's conversion of SentencePiece models (by score, then by the lengths of left and
/// right in characters, then by ids), so that ids agree with its tokenizer.json.
Result<std::vector<MergePair>> reconstruct_merges(const std::vector<std::string>& tokens, const VocabularyIds& ids,
                                                  const std::vector<MergePiece>& pieces);

}  // namespace tenon::tokenizer
