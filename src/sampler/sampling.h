// Logits -> token id. Pure: the same logits, parameters and position give the same token, whatever else is in the
// batch.
#pragma once

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "base/result.h"

namespace tenon::sampler {

inline constexpr int kMaxTopLogprobs = 20;

struct SamplingParams {
  float temperature = 1.0f;  ///< 0 (or below 1e-5): greedy
  int top_k = 0;             ///< 0: off
  float top_p = 1.0f;        ///< 1: off
  float min_p = 0.0f;        ///< 0: off
  std::uint64_t seed = 0;    ///< always set: the caller draws one where the request has none
  int top_logprobs = -1;     ///< -1: no logprobs; else also those of this many best tokens

  /// kInvalidArgument that names the parameter and its range.
  Status validate() const;
};

struct TokenLogprobs {
  float logprob = 0;  ///< of the chosen token, log softmax of the raw logits
  std::vector<std::pair<std::int32_t, float>> top;
};

struct Sampled {
  std::int32_t token = 0;  ///< -1: no logit is a number above -inf, so there is nothing to choose from
  TokenLogprobs logprobs;  ///< if asked for
};

/// Buffers that keep their capacity between calls; what is in them never matters.
struct Scratch {
  std::vector<float> scaled;
  std::vector<std::pair<float, std::int32_t>> members, work;
};

/// Draws the token at `position` of its sequence. Order and meaning as in transformers: temperature, top_k (those equal
/// to the k-th stay), top_p (the smallest set of the best whose probabilities sum to at least top_p), min_p (relative
/// to the best). Greedy: the largest logit, the smallest token among equals. NaN counts as -inf. Uniform numbers come
/// from a counter-based generator (Philox 4x32-10) keyed by (seed, position).
Sampled sample(std::span<const float> logits, const SamplingParams& params, std::int64_t position, Scratch& scratch);

/// Uniform in [0, 1) with 53 bits for (seed, position).
double uniform(std::uint64_t seed, std::uint64_t position);

}  // namespace tenon::sampler
