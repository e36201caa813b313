#include "tokenizer/gguf_merges.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <functional>
#include <limits>
#include <tuple>

namespace tenon::tokenizer {
namespace {

constexpr std::size_t kMaxPieceBytes = 1024;  // cutting a piece everywhere costs the square of its length
constexpr double kUserDefinedScore = std::numeric_limits<double>::infinity();

struct Candidate {
  double score;
  std::uint32_t left_length, right_length;  // in characters
  std::uint32_t order;                      ///< of the piece, and within it of the ids; last of the keys
  MergePair pair;
};

bool starts_character(char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }

std::uint32_t hash_of(std::string_view token) {
  return static_cast<std::uint32_t>(std::hash<std::string_view>()(token));
}

}  // namespace

VocabularyIds::VocabularyIds(const std::vector<std::string>& tokens)
    : tokens_(tokens), slots_(std::bit_ceil(2 * tokens.size() + 2)) {
  for (std::size_t id = 0; id < tokens.size(); ++id) {
    const std::uint32_t hash = hash_of(tokens[id]);
    Slot& slot = slots_[slot_of(tokens[id], hash)];
    if (slot.id == kNone) slot = {hash, static_cast<std::uint32_t>(id)};
  }
}

std::uint32_t VocabularyIds::find(std::string_view token) const { return slots_[slot_of(token, hash_of(token))].id; }

/// Where the token is, or the empty slot where it would be.
std::size_t VocabularyIds::slot_of(std::string_view token, std::uint32_t hash) const {
  const std::size_t mask = slots_.size() - 1;
  std::size_t at = hash & mask;
  while (slots_[at].id != kNone && (slots_[at].hash != hash || tokens_[slots_[at].id] != token)) at = (at + 1) & mask;
  return at;
}

Result<std::vector<MergePair>> parse_merges(const std::vector<std::string>& merges, const VocabularyIds& ids) {
  std::vector<MergePair> pairs;
  pairs.reserve(merges.size());
  for (std::size_t i = 0; i < merges.size(); ++i) {
    const std::string_view merge = merges[i];
    const auto space = merge.find(' ', 1);
    const auto left = space == merge.npos ? VocabularyIds::kNone : ids.find(merge.substr(0, space));
    const auto right = space == merge.npos ? VocabularyIds::kNone : ids.find(merge.substr(space + 1));
    if (left == VocabularyIds::kNone || right == VocabularyIds::kNone) {
      return invalid("GGUF metadata: tokenizer.ggml.merges[" + std::to_string(i) + "] is not two tokens and a space");
    }
    pairs.push_back({left, right});
  }
  return pairs;
}

Result<std::vector<MergePair>> reconstruct_merges(const std::vector<std::string>& tokens, const VocabularyIds& ids,
                                                  const std::vector<MergePiece>& pieces) {
  std::vector<Candidate> candidates;
  candidates.reserve(pieces.size() * 2);
  std::vector<std::size_t> cuts;
  for (const auto& piece : pieces) {
    const std::string_view text = tokens[piece.id];
    if (text.size() > kMaxPieceBytes) {
      return invalid("GGUF metadata: token " + std::to_string(piece.id) + " is " + std::to_string(text.size()) +
                     " bytes long, which no tokenizer needs");
    }
    if (!std::isfinite(piece.score)) {
      return invalid("GGUF metadata: the score of token " + std::to_string(piece.id) + " is not a number");
    }
    cuts.clear();
    for (std::size_t i = 1; i < text.size(); ++i) {
      if (starts_character(text[i])) cuts.push_back(i);
    }
    const double score = piece.user_defined ? kUserDefinedScore : piece.score;
    const auto first = static_cast<std::ptrdiff_t>(candidates.size());
    for (std::size_t i = 0; i < cuts.size(); ++i) {
      const auto left = ids.find(text.substr(0, cuts[i]));
      if (left == VocabularyIds::kNone) continue;
      const auto right = ids.find(text.substr(cuts[i]));
      if (right == VocabularyIds::kNone) continue;
      candidates.push_back({.score = score,
                            .left_length = static_cast<std::uint32_t>(i + 1),
                            .right_length = static_cast<std::uint32_t>(cuts.size() - i),
                            .order = 0,
                            .pair = {left, right}});
    }
    std::sort(candidates.begin() + first, candidates.end(), [](const Candidate& a, const Candidate& b) {
      return std::tie(a.pair.left, a.pair.right) < std::tie(b.pair.left, b.pair.right);
    });
  }
  for (std::size_t i = 0; i < candidates.size(); ++i) candidates[i].order = static_cast<std::uint32_t>(i);
  std::sort(candidates.begin(), candidates.end(), [](const Candidate& a, const Candidate& b) {
    return std::tie(a.score, a.left_length, a.right_length, b.order) >
           std::tie(b.score, b.left_length, b.right_length, a.order);
  });
  std::vector<MergePair> merges;
  merges.reserve(candidates.size());
  for (const auto& candidate : candidates) merges.push_back(candidate.pair);
  return merges;
}

}  // namespace tenon::tokenizer
