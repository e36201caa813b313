// Rotary position embedding with every scaling that Llama-like configs use (transformers/modeling_rope_utils.py).
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "nn/attention.h"

namespace tenon::nn {

enum class RopeType : std::uint8_t { kDefault, kLinear, kDynamic, kLlama3, kYarn };

/// `rope_parameters` of a config (v5), or `rope_theta` and `rope_scaling` (v4). Field names are transformers'.
struct RopeConfig {
  RopeType rope_type = RopeType::kDefault;
  double rope_theta = 10000.0;
  int head_dim = 0;                          ///< all of it is rotated; even
  int max_position_embeddings = 0;           ///< of the model
  double factor = 1.0;                       ///< all but default
  int original_max_position_embeddings = 0;  ///< llama3, yarn
  double low_freq_factor = 1.0;              ///< llama3
  double high_freq_factor = 4.0;             ///< llama3
  double beta_fast = 32.0;                   ///< yarn
  double beta_slow = 1.0;                    ///< yarn
  std::optional<double> attention_factor;    ///< yarn; none: from factor, mscale and mscale_all_dim
  double mscale = 0.0;                       ///< yarn; 0: none
  double mscale_all_dim = 0.0;               ///< yarn; 0: none
  bool truncate = true;                      ///< yarn: round the correction range to whole dims
  /// default only: each inverse frequency is divided by its factor [head_dim / 2]. What GGUF's rope_freqs.weight holds
  /// (Llama 3 as converted by llama.cpp); empty: none.
  std::vector<double> frequency_factors;
};

struct RopeFrequencies {
  std::vector<double> inv_freq;   ///< [head_dim / 2], each a float32 value as transformers computes it
  double attention_factor = 1.0;  ///< multiplies cos and sin
};

/// `max_length`: the context that the model is built for. It matters to dynamic (NTK) scaling only. There transformers
/// rescales with the length of the batch at hand and leaves earlier cached keys as they were, so that its result
/// depends on how a prompt was chunked. Here the base is fixed once: up to max_position_embeddings it is the unscaled
/// one, as in transformers; a longer context uses, for every position, what transformers uses for a sequence of that
/// length.
RopeFrequencies rope_frequencies(const RopeConfig& config, int max_length);

/// The longest context that the scaling was made for: max_position_embeddings, stretched by linear and dynamic factors
/// or yarn's original length times its factor. Some configs already count the factor in max_position_embeddings, others
/// do not; so this is a limit, not a default.
int rope_context_limit(const RopeConfig& config);

/// One table for all layers that share their frequencies.
class Rope {
 public:
  Rope(const RopeConfig& config, int max_length) : frequencies_(rope_frequencies(config, max_length)) {}
  /// [T, head_dim]: cos half, sin half.
  Value table(const RaggedBatch& batch) const {
    return graph::rope_table(batch.positions, frequencies_.inv_freq, frequencies_.attention_factor);
  }

 private:
  RopeFrequencies frequencies_;
};

}  // namespace tenon::nn
