#include "nn/rope.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace tenon::nn {
namespace {

// transformers computes in float32 tensors; doing the same steps in float keeps the angles of far positions equal.
std::vector<float> base_frequencies(double base, int dim) {
  std::vector<float> result;
  for (int i = 0; i < dim; i += 2) {
    const float exponent = static_cast<float>(i) / static_cast<float>(dim);
    const auto power = static_cast<float>(std::pow(static_cast<double>(static_cast<float>(base)), exponent));
    result.push_back(1.0f / power);
  }
  return result;
}

// Llama 3.1: long wavelengths are stretched by `factor`, short ones kept, those between blended.
float llama3(const RopeConfig& c, float inv_freq) {
  const double context = c.original_max_position_embeddings;
  const auto low_wavelength = static_cast<float>(context / c.low_freq_factor);
  const auto high_wavelength = static_cast<float>(context / c.high_freq_factor);
  const float wavelength = static_cast<float>(2.0 * std::numbers::pi) / inv_freq;
  const auto factor = static_cast<float>(c.factor);
  if (wavelength < high_wavelength) return inv_freq;
  // Llama 4 has one and the same factor: nothing lies between.
  if (wavelength > low_wavelength || low_wavelength == high_wavelength) return inv_freq / factor;
  const float smooth = (static_cast<float>(context) / wavelength - static_cast<float>(c.low_freq_factor)) /
                       static_cast<float>(c.high_freq_factor - c.low_freq_factor);
  return (1.0f - smooth) * inv_freq / factor + smooth * inv_freq;
}

double yarn_mscale(double scale, double mscale) { return scale <= 1.0 ? 1.0 : 0.1 * mscale * std::log(scale) + 1.0; }

double yarn_attention_factor(const RopeConfig& c) {
  if (c.attention_factor) return *c.attention_factor;
  if (c.mscale != 0.0 && c.mscale_all_dim != 0.0) {
    return yarn_mscale(c.factor, c.mscale) / yarn_mscale(c.factor, c.mscale_all_dim);
  }
  return yarn_mscale(c.factor, 1.0);
}

// Peng et al. 2023: dims that turn more than beta_fast times in the original context are kept, those below beta_slow
// interpolated, with a linear ramp between.
std::vector<float> yarn(const RopeConfig& c) {
  const int dim = c.head_dim;
  const auto correction_dim = [&](double rotations) {
    return dim * std::log(c.original_max_position_embeddings / (rotations * 2.0 * std::numbers::pi)) /
           (2.0 * std::log(c.rope_theta));
  };
  double low = correction_dim(c.beta_fast), high = correction_dim(c.beta_slow);
  if (c.truncate) low = std::floor(low), high = std::ceil(high);
  low = std::max(low, 0.0);
  high = std::min(high, dim - 1.0);
  if (low == high) high += 0.001;
  std::vector<float> result = base_frequencies(c.rope_theta, dim);
  for (std::size_t i = 0; i < result.size(); ++i) {
    const float ramp =
        std::clamp((static_cast<float>(i) - static_cast<float>(low)) / static_cast<float>(high - low), 0.0f, 1.0f);
    const float kept = 1.0f - ramp;
    const float interpolated = 1.0f / (static_cast<float>(c.factor) * (1.0f / result[i]));
    result[i] = interpolated * (1.0f - kept) + result[i] * kept;
  }
  return result;
}

double dynamic_base(const RopeConfig& c, int max_length) {
  const double length = std::max(max_length, c.max_position_embeddings);
  const double stretch = c.factor * length / c.max_position_embeddings - (c.factor - 1.0);
  return c.rope_theta * std::pow(stretch, c.head_dim / (c.head_dim - 2.0));
}

}  // namespace

RopeFrequencies rope_frequencies(const RopeConfig& c, int max_length) {
  std::vector<float> inv_freq;
  double attention_factor = 1.0;
  switch (c.rope_type) {
    case RopeType::kDefault:
      inv_freq = base_frequencies(c.rope_theta, c.head_dim);
      for (std::size_t i = 0; i < c.frequency_factors.size() && i < inv_freq.size(); ++i) {
        inv_freq[i] /= static_cast<float>(c.frequency_factors[i]);
      }
      break;
    case RopeType::kLinear:
      inv_freq = base_frequencies(c.rope_theta, c.head_dim);
      for (float& f : inv_freq) f /= static_cast<float>(c.factor);
      break;
    case RopeType::kDynamic:
      inv_freq = base_frequencies(dynamic_base(c, max_length), c.head_dim);
      break;
    case RopeType::kLlama3:
      inv_freq = base_frequencies(c.rope_theta, c.head_dim);
      for (float& f : inv_freq) f = llama3(c, f);
      break;
    case RopeType::kYarn:
      inv_freq = yarn(c);
      attention_factor = yarn_attention_factor(c);
      break;
  }
  return {{inv_freq.begin(), inv_freq.end()}, attention_factor};
}

int rope_context_limit(const RopeConfig& c) {
  double limit = c.max_position_embeddings;
  if (c.rope_type == RopeType::kLinear || c.rope_type == RopeType::kDynamic) limit *= std::max(c.factor, 1.0);
  if (c.rope_type == RopeType::kYarn) limit = std::max(limit, c.original_max_position_embeddings * c.factor);
  return static_cast<int>(std::min(limit, 16777216.0));
}

}  // namespace tenon::nn
