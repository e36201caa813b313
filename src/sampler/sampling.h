// Logits -> token id. Pure: the same logits, parameters and position give the same token, whatever else is in the
// batch.
#pragma once

#include <cstdint>
#include <span>
#include <utility>
#include <vector>

#include "base/result.h"
#include "grammar/grammar.h"
#include "sampler/token_history.h"

namespace tenon::sampler {

inline constexpr int kMaxTopLogprobs = 20;

struct SamplingParams {
  float temperature = 1.0f;  ///< 0 (or below 1e-5): greedy
  int top_k = 0;             ///< 0: off
  float top_p = 1.0f;        ///< 1: off
  float min_p = 0.0f;        ///< 0: off
  std::uint64_t seed = 0;    ///< always set: the caller draws one where the request has none
  int top_logprobs = -1;     ///< -1: no logprobs; else also those of this many best tokens

  float frequency_penalty = 0.0f;   ///< subtracted once for each time that the reply has the token; 0: off
  float presence_penalty = 0.0f;    ///< subtracted if the reply has the token; 0: off
  float repetition_penalty = 1.0f;  ///< divides (negative: multiplies) what prompt or reply has; 1: off
  std::vector<std::pair<std::int32_t, float>> logit_bias = {};  ///< token and what is added to its logit
  std::vector<std::int32_t> allowed_tokens = {};                ///< ascending; no other is drawn. Empty: all may be
  std::vector<std::vector<std::int32_t>> bad_words = {};  ///< sequences whose last token is not drawn after the rest

  /// Whether a TokenHistory is needed.
  bool penalizes() const { return frequency_penalty != 0 || presence_penalty != 0 || repetition_penalty != 1; }
  /// kInvalidArgument that names the parameter and its range.
  Status validate() const;
};

/// What a draw must respect beside the parameters: the request's own past.
struct Constraints {
  const TokenHistory* history = nullptr;      ///< needed where the parameters penalize
  std::span<const std::int32_t> banned = {};  ///< not drawn at this position
  std::span<const std::int32_t> reply = {};   ///< what was drawn before; needed where there are bad words
  /// What else is not drawn (grammar::Matcher::mask): a bit for each token, lowest first, clear for those; tokens
  /// beyond its words are not drawn either. Empty: all may be.
  std::span<const std::uint32_t> allowed = {};
};

struct TokenLogprobs {
  float logprob = 0;      ///< of the chosen token, log softmax of the raw logits
  std::int64_t rank = 0;  ///< see rank(); 0: not asked for
  std::vector<std::pair<std::int32_t, float>> top = {};
};

struct Sampled {
  std::int32_t token = 0;  ///< -1: no logit is a number above -inf, so there is nothing to choose from
  TokenLogprobs logprobs;  ///< if asked for
};

/// Buffers that keep their capacity between calls; what is in them never matters.
struct Scratch {
  Scratch() = default;
  /// With room for all that `vocab_size` logits need.
  explicit Scratch(std::int64_t vocab_size) {
    const auto count = static_cast<std::size_t>(vocab_size);
    adjusted.reserve(count), scaled.reserve(count), members.reserve(count), work.reserve(count);
  }

  std::vector<float> adjusted, scaled;
  std::vector<std::pair<float, std::int32_t>> members, work;
};

/// Draws the token at `position` of its sequence. First logit_bias, what must not be drawn, and the penalties change
/// the logits, in this order and with vLLM's meaning (repetition over prompt and reply, then frequency and presence
/// over the reply). Then order and meaning as in transformers: temperature, top_k (those equal to the k-th stay), top_p
/// (the smallest set of the best whose probabilities sum to at least top_p), min_p (relative to the best). Greedy: the
/// largest logit, the smallest token among equals. NaN counts as -inf. Uniform numbers come from a counter-based
/// generator (Philox 4x32-10) keyed by (seed, position). Logprobs are those of the raw logits.
Sampled sample(std::span<const float> logits, const SamplingParams& params, std::int64_t position, Scratch& scratch,
               const Constraints& constraints = {});

/// Log softmax of the raw logits: of `token`, and of the `top` best tokens (0: none).
TokenLogprobs score(std::span<const float> logits, std::int32_t token, int top, Scratch& scratch);

/// How many logits are at least the token's: 1 for the best one.
std::int64_t rank(std::span<const float> logits, std::int32_t token);

/// The seed of one of several choices of a request: choice 0 has the request's own.
std::uint64_t choice_seed(std::uint64_t seed, int choice);

/// Uniform in [0, 1) with 53 bits for (seed, position).
double uniform(std::uint64_t seed, std::uint64_t position);

}  // namespace tenon::sampler
