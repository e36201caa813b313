#include "sampler/sampling.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include "base/check.h"
#include "kernels/kernels.h"
#include "sampler/candidates.h"
#include "sampler/philox.h"

namespace tenon::sampler {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();
constexpr float kGreedyBelow = 1e-5f;  // 1 / temperature must stay finite

// log(sum(exp(row))); NaN counts as nothing. `max` is the row's largest and finite.
double log_sum_exp(std::span<const float> row, float max) {
  const double fast = kernels::kernels().log_sum_exp(row.data(), static_cast<std::int64_t>(row.size()));
  if (std::isfinite(fast)) return fast;
  double sum = 0;
  for (const float x : row) {
    if (!std::isnan(x)) sum += std::exp(static_cast<double>(x) - static_cast<double>(max));
  }
  return static_cast<double>(max) + std::log(sum);
}

// out = (logits - max) / temperature: the best is 0 and its weight 1. Where the best is +inf, it and its equals are all
// that counts.
void shift_and_scale(std::span<const float> logits, float max, float temperature, std::vector<float>& out) {
  out.resize(logits.size());
  if (max == kInfinity) {
    std::ranges::transform(logits, out.begin(), [](float x) { return x == kInfinity ? 0.0f : -kInfinity; });
    return;
  }
  const float scale = 1.0f / temperature;
  for (std::size_t i = 0; i < logits.size(); ++i) out[i] = (logits[i] - max) * scale;
}

// Whether the word's last token would complete it after this reply.
bool completes(std::span<const std::int32_t> word, std::span<const std::int32_t> reply) {
  const std::size_t before = word.size() - 1;
  return before <= reply.size() && std::ranges::equal(word.first(before), reply.last(before));
}

// -inf where the mask has no bit. Most words of a mask are all set or all clear.
void forbid(std::span<const std::uint32_t> allowed, std::span<float> logits) {
  constexpr std::size_t kBits = 32;
  const std::size_t known = std::min(logits.size(), allowed.size() * kBits);
  for (std::size_t begin = 0; begin < known; begin += kBits) {
    const std::uint32_t word = allowed[begin / kBits];
    if (word == ~std::uint32_t{0}) continue;
    const std::size_t count = std::min(kBits, known - begin);
    for (std::size_t i = 0; i < count; ++i) {
      if ((word >> i & 1) == 0) logits[begin + i] = -kInfinity;
    }
  }
  std::ranges::fill(logits.subspan(known), -kInfinity);
}

// The logits after what the request's parameters and past do to them.
std::span<const float> adjust(std::span<const float> logits, const SamplingParams& params,
                              const Constraints& constraints, std::vector<float>& out) {
  const bool penalizes = constraints.history != nullptr && params.penalizes();
  const bool bans = !constraints.banned.empty() || !params.bad_words.empty() || !params.allowed_tokens.empty();
  if (!penalizes && params.logit_bias.empty() && !bans && constraints.allowed.empty()) return logits;
  out.assign(logits.begin(), logits.end());
  const auto known = [&](std::int32_t token) { return token >= 0 && static_cast<std::size_t>(token) < out.size(); };
  for (const auto& [token, bias] : params.logit_bias) {
    if (known(token)) out[static_cast<std::size_t>(token)] += bias;
  }
  if (!params.allowed_tokens.empty()) {
    std::size_t next = 0;  // what lies between those
    for (const std::int32_t token : params.allowed_tokens) {
      if (!known(token)) continue;
      std::fill(out.begin() + static_cast<std::ptrdiff_t>(next), out.begin() + token, -kInfinity);
      next = static_cast<std::size_t>(token) + 1;
    }
    std::fill(out.begin() + static_cast<std::ptrdiff_t>(next), out.end(), -kInfinity);
  }
  for (const std::int32_t token : constraints.banned) {
    if (known(token)) out[static_cast<std::size_t>(token)] = -kInfinity;
  }
  for (const auto& word : params.bad_words) {
    if (completes(word, constraints.reply) && known(word.back()))
      out[static_cast<std::size_t>(word.back())] = -kInfinity;
  }
  if (!constraints.allowed.empty()) forbid(constraints.allowed, out);
  if (!penalizes) return out;
  for (const auto& [token, drawn] : constraints.history->entries()) {
    if (!known(token)) continue;
    float& logit = out[static_cast<std::size_t>(token)];
    logit = logit > 0 ? logit / params.repetition_penalty : logit * params.repetition_penalty;
    if (drawn == 0) continue;
    logit -= params.frequency_penalty * static_cast<float>(drawn);
    logit -= params.presence_penalty;
  }
  return out;
}

std::int32_t draw(std::span<const float> logits, float max, const SamplingParams& params, double u, Scratch& scratch) {
  shift_and_scale(logits, max, params.temperature, scratch.scaled);
  Candidates candidates(scratch.scaled, 0.0f, scratch.members, scratch.work);
  const bool top_k = params.top_k > 0 && static_cast<std::size_t>(params.top_k) < logits.size();
  if (top_k) candidates.keep_top_k(static_cast<std::size_t>(params.top_k));
  double total = top_k ? candidates.mass() : std::exp(log_sum_exp(scratch.scaled, 0.0f));
  if (params.top_p < 1.0f) candidates.keep_mass(static_cast<double>(params.top_p) * total);
  if (params.min_p > 0.0f) candidates.keep_weight(static_cast<double>(params.min_p));
  if (params.top_p < 1.0f || params.min_p > 0.0f) total = candidates.mass();

  double rest = u * total;
  for (std::size_t i = 0;; ++i) {
    while (i == candidates.size() && candidates.extend()) {
    }
    if (i == candidates.size()) return candidates[0].second;  // rounding, once in millions: one of the likely ones
    rest -= static_cast<double>(std::exp(candidates[i].first));
    if (rest < 0) return candidates[i].second;
  }
}

TokenLogprobs logprobs_of(std::span<const float> logits, float max, std::int32_t token, int top, Scratch& scratch) {
  const bool infinite = max == kInfinity;
  const double normalizer =
      infinite ? std::log(static_cast<double>(std::ranges::count(logits, kInfinity))) : log_sum_exp(logits, max);
  const auto logprob = [&](float x) {
    if (infinite) return x == kInfinity ? static_cast<float>(-normalizer) : -kInfinity;
    return static_cast<float>(static_cast<double>(x) - normalizer);
  };
  TokenLogprobs result;
  result.logprob = logprob(logits[static_cast<std::size_t>(token)]);
  if (top <= 0) return result;
  Candidates candidates(logits, max, scratch.members, scratch.work);
  candidates.keep_top_k(static_cast<std::size_t>(top));
  auto& best = scratch.members;
  const std::size_t count = std::min(best.size(), static_cast<std::size_t>(top));
  std::partial_sort(best.begin(), best.begin() + static_cast<std::ptrdiff_t>(count), best.end(), better);
  result.top.reserve(count);
  for (std::size_t i = 0; i < count; ++i) result.top.emplace_back(best[i].second, logprob(best[i].first));
  return result;
}

}  // namespace

Status SamplingParams::validate() const {
  const auto number = [](float x) {
    std::string text = std::to_string(x);
    return text.substr(0, text.find_last_not_of('0') + 1);
  };
  if (!(temperature >= 0) || std::isinf(temperature)) {
    return invalid("temperature must be at least 0, not " + number(temperature), "temperature");
  }
  if (top_k < 0) return invalid("top_k must be at least 0 (0: off), not " + std::to_string(top_k), "top_k");
  if (!(top_p >= 0 && top_p <= 1)) return invalid("top_p must be between 0 and 1, not " + number(top_p), "top_p");
  if (!(min_p >= 0 && min_p <= 1)) return invalid("min_p must be between 0 and 1, not " + number(min_p), "min_p");
  for (const auto& [penalty, name] :
       {std::pair(frequency_penalty, "frequency_penalty"), {presence_penalty, "presence_penalty"}}) {
    if (!(penalty >= -2 && penalty <= 2)) {
      return invalid(std::string(name) + " must be between -2 and 2, not " + number(penalty), name);
    }
  }
  if (!(repetition_penalty > 0) || std::isinf(repetition_penalty)) {
    return invalid("repetition_penalty must be greater than 0 (1: off), not " + number(repetition_penalty),
                   "repetition_penalty");
  }
  for (const auto& [token, bias] : logit_bias) {
    if (token < 0) return invalid("logit_bias has the token id " + std::to_string(token), "logit_bias");
    if (!(bias >= -100 && bias <= 100)) {
      return invalid("logit_bias must be between -100 and 100, not " + number(bias), "logit_bias");
    }
  }
  if (!std::ranges::is_sorted(allowed_tokens, std::less_equal<>()) ||
      (!allowed_tokens.empty() && allowed_tokens.front() < 0)) {
    return invalid("allowed_token_ids must ascend from 0 or more", "allowed_token_ids");
  }
  for (const auto& word : bad_words) {
    if (word.empty()) return invalid("bad_words has a word without tokens", "bad_words");
  }
  if (top_logprobs < -1 || top_logprobs > kMaxTopLogprobs) {
    return invalid("top_logprobs must be between 0 and " + std::to_string(kMaxTopLogprobs) + ", not " +
                       std::to_string(top_logprobs),
                   "top_logprobs");
  }
  return {};
}

double uniform(std::uint64_t seed, std::uint64_t position) {
  const auto low = [](std::uint64_t x) { return static_cast<std::uint32_t>(x); };
  const auto high = [](std::uint64_t x) { return static_cast<std::uint32_t>(x >> 32); };
  const auto random = philox4x32({low(position), high(position), 0, 0}, {low(seed), high(seed)});
  const std::uint64_t bits = (std::uint64_t{random[1]} << 32 | random[0]) >> 11;
  return static_cast<double>(bits) * 0x1p-53;
}

std::uint64_t choice_seed(std::uint64_t seed, int choice) {
  if (choice == 0) return seed;
  const auto half = [&](int shift) { return static_cast<std::uint32_t>(seed >> shift); };
  // A counter that no position has: uniform() leaves the third word 0.
  const auto random = philox4x32({static_cast<std::uint32_t>(choice), 0, 1, 0}, {half(0), half(32)});
  return std::uint64_t{random[1]} << 32 | random[0];
}

Sampled sample(std::span<const float> logits, const SamplingParams& params, std::int64_t position, Scratch& scratch,
               const Constraints& constraints) {
  TENON_CHECK(!logits.empty());
  const auto adjusted = adjust(logits, params, constraints, scratch.adjusted);
  const std::int64_t best = kernels::kernels().argmax(adjusted.data(), static_cast<std::int64_t>(adjusted.size()));
  const float max = adjusted[static_cast<std::size_t>(best)];
  Sampled sampled;
  if (!(max > -kInfinity)) {
    sampled.token = -1;
    return sampled;
  }
  sampled.token =
      params.temperature < kGreedyBelow
          ? static_cast<std::int32_t>(best)
          : draw(adjusted, max, params, uniform(params.seed, static_cast<std::uint64_t>(position)), scratch);
  if (params.top_logprobs >= 0) sampled.logprobs = score(logits, sampled.token, params.top_logprobs, scratch);
  return sampled;
}

TokenLogprobs score(std::span<const float> logits, std::int32_t token, int top, Scratch& scratch) {
  TENON_CHECK(token >= 0 && static_cast<std::size_t>(token) < logits.size());
  const std::int64_t best = kernels::kernels().argmax(logits.data(), static_cast<std::int64_t>(logits.size()));
  const float max = logits[static_cast<std::size_t>(best)];
  if (!(max > -kInfinity)) return {.logprob = -kInfinity, .top = {}};
  return logprobs_of(logits, max, token, top, scratch);
}

std::int64_t rank(std::span<const float> logits, std::int32_t token) {
  const float logit = logits[static_cast<std::size_t>(token)];
  return std::ranges::count_if(logits, [logit](float x) { return x >= logit; });
}

}  // namespace tenon::sampler
