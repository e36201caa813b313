// Phi 3, 3.5 and 4, text.
#pragma once

#include "model/sdk.h"

namespace tenon::architectures::phi3 {

struct Config : model::ModelConfig {
  int intermediate_size = 0;
  int num_attention_heads = 0;
  int num_key_value_heads = 0;
  int head_dim = 0;
  double rms_norm_eps = 0;
  nn::Activation hidden_act = nullptr;
  bool tie_word_embeddings = false;
  int sliding_window = 0;  ///< positions that a token sees; 0: all
  nn::RopeConfig rope;     ///< its head_dim is the part of each head that is rotated

  /// LongRoPE (Ding et al. 2024): divisors of the inverse frequencies [rope.head_dim / 2]; empty: none. transformers
  /// takes long_factor once the batch at hand is longer than original_max_position_embeddings and leaves earlier cached
  /// keys as they were, so that its result depends on how a prompt was chunked. Here the choice is fixed by the served
  /// context: short_factor up to original_max_position_embeddings, long_factor for a longer one.
  std::vector<double> short_factor, long_factor;
  int original_max_position_embeddings = 0;
  double attention_factor = 1.0;  ///< multiplies cos and sin
};

std::shared_ptr<model::ModelConfig> parse_config(model::ConfigReader& config);
Result<Json> config_from_gguf(const weights::Checkpoint& checkpoint);

model::WeightAdapter from_safetensors(const model::ModelConfig& config);
model::WeightAdapter from_gguf(const model::ModelConfig& config);

class Phi3ForCausalLM final : public model::PipelineModel {
 public:
  using Config = phi3::Config;
  explicit Phi3ForCausalLM(std::shared_ptr<const Config> config) : config_(std::move(config)) {}
  std::vector<tensor::KvLayer> kv_parameters() const override;
  void build(const model::BuildContext& context) const override;

 private:
  std::shared_ptr<const Config> config_;
};

const model::Architecture& architecture();

}  // namespace tenon::architectures::phi3
