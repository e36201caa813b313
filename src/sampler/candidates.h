// The tokens that a draw looks at, best first in bands, so that a large vocabulary is neither sorted nor exponentiated.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <span>
#include <utility>
#include <vector>

namespace tenon::sampler {

/// A logit and its token.
using Candidate = std::pair<float, std::int32_t>;

/// Larger logit first; among equals the smaller token.
inline bool better(const Candidate& a, const Candidate& b) {
  return a.first > b.first || (a.first == b.first && a.second < b.second);
}

/// A growing prefix of the row's tokens in bands of falling logits (within a band by token id). Tokens whose logit is
/// NaN or -inf never appear. A cut closes the set: it grows no more.
class Candidates {
 public:
  /// `max` is the row's largest logit; `members` and `work` are buffers whose contents do not matter.
  Candidates(std::span<const float> row, float max, std::vector<Candidate>& members, std::vector<Candidate>& work)
      : row_(row), max_(max), members_(members), work_(work) {
    members_.clear();
  }

  std::size_t size() const { return members_.size(); }
  const Candidate& operator[](std::size_t i) const { return members_[i]; }
  /// Tokens of logit below this are not yet members.
  float lowest() const { return lowest_; }
  /// Adds the next band (it may be empty); false if there is none.
  bool extend();
  /// Keeps the k best and those equal to the k-th.
  void keep_top_k(std::size_t k);
  /// Keeps the smallest set of best ones whose weights sum to at least `mass`, at least one. For logits whose maximum
  /// is 0, of weight exp(logit).
  void keep_mass(double mass);
  /// Keeps those whose weight is at least `weight` (of a maximum of 1).
  void keep_weight(double weight);
  /// Sum of exp(logit), in the members' order.
  double mass() const { return mass_from(0); }

 private:
  double mass_from(std::size_t begin) const;
  void gather(float low, float high);
  void close() { band_ = kBands; }

  // Distances of the bands' lower ends from the maximum. The first holds most of what is ever drawn.
  static constexpr float kEdges[] = {-4, -8, -16, -32, 0 /* all the rest */};
  static constexpr std::size_t kBands = std::size(kEdges);

  std::span<const float> row_;
  float max_;
  std::vector<Candidate>& members_;
  std::vector<Candidate>& work_;
  std::size_t band_ = 0;
  float lowest_ = std::numeric_limits<float>::infinity();
};

}  // namespace tenon::sampler
