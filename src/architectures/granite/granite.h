// Granite 3, dense.
#pragma once

#include "model/sdk.h"

namespace tenon::architectures::granite {

struct Config : model::ModelConfig {
  int intermediate_size = 0;
  int num_attention_heads = 0;
  int num_key_value_heads = 0;
  int head_dim = 0;
  double rms_norm_eps = 0;
  nn::Activation hidden_act = nullptr;
  bool attention_bias = false;
  bool mlp_bias = false;
  bool tie_word_embeddings = false;
  double embedding_multiplier = 1.0;
  double attention_multiplier = 1.0;  ///< of the scores, in place of 1/sqrt(head_dim)
  double residual_multiplier = 1.0;
  double logits_scaling = 1.0;  ///< divides the logits
  nn::RopeConfig rope;
};

std::shared_ptr<model::ModelConfig> parse_config(model::ConfigReader& config);
Result<Json> config_from_gguf(const weights::Checkpoint& checkpoint);

model::WeightAdapter from_safetensors(const model::ModelConfig& config);
model::WeightAdapter from_gguf(const model::ModelConfig& config);

class GraniteForCausalLM final : public model::PipelineModel {
 public:
  using Config = granite::Config;
  explicit GraniteForCausalLM(std::shared_ptr<const Config> config) : config_(std::move(config)) {}
  std::vector<tensor::KvLayer> kv_parameters() const override;
  void build(const model::BuildContext& context) const override;

 private:
  std::shared_ptr<const Config> config_;
};

const model::Architecture& architecture();

}  // namespace tenon::architectures::granite
