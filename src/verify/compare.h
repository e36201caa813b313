// How far two runs of one model are apart: of logits, and of any values row by row.
#pragma once

#include <cstdint>
#include <span>
#include <string>

namespace tenon::verify {

struct Difference {
  double kl_mean = 0, kl_max = 0;  ///< KL(reference ‖ ours) of each token's distribution, in nats
  double cosine = 1;               ///< of the logits; the mean over tokens
  double max_abs = 0;              ///< of the logits; infinite if ours are not all finite
  double top1 = 0;                 ///< share of tokens with the same argmax
  std::int64_t tokens = 0;
};

/// Both are logits [tokens, vocab] of the same tokens.
Difference compare(std::span<const float> reference, std::span<const float> ours, std::int64_t vocab);
/// Adds the tokens of `part` to `total`.
void accumulate(Difference& total, const Difference& part);

struct RowDifference {
  /// The largest of |ours - reference| / |reference| over the rows, by Euclidean norms; infinite if ours are not
  /// finite.
  double error = 0;
  double cosine = 1;       ///< the smallest over the rows
  double max_abs = 0;      ///< of one element
  std::int64_t first = 0;  ///< the first row whose error is more than `tolerance`; the number of rows if none
};

/// Both are [rows, width].
RowDifference compare_rows(std::span<const float> reference, std::span<const float> ours, std::int64_t width,
                           double tolerance);

/// What an encoding may differ by and still agree: its weights or activations are rounded, the reference's are not.
struct Tolerance {
  double kl_mean, kl_max;
  double tap;  ///< RowDifference::error of a tapped layer, for saying in the table where it begins
};
Tolerance tolerance_of(const std::string& encoding);

}  // namespace tenon::verify
