// Granite 3 with a mixture of experts.
#pragma once

#include "model/sdk.h"

namespace tenon::architectures::granitemoe {

struct Config : model::ModelConfig {
  int intermediate_size = 0;
  int num_attention_heads = 0;
  int num_key_value_heads = 0;
  int head_dim = 0;
  double rms_norm_eps = 0;
  nn::Activation hidden_act = nullptr;
  bool attention_bias = false;
  int num_local_experts = 0;
  int num_experts_per_tok = 0;
  double embedding_multiplier = 1, residual_multiplier = 1, attention_multiplier = 1, logits_scaling = 1;
  bool tie_word_embeddings = false;
  nn::RopeConfig rope;
};

std::shared_ptr<model::ModelConfig> parse_config(model::ConfigReader& config);
Result<Json> config_from_gguf(const weights::Checkpoint& checkpoint);

model::WeightAdapter from_safetensors(const model::ModelConfig& config);
model::WeightAdapter from_gguf(const model::ModelConfig& config);

class GraniteMoeForCausalLM final : public model::PipelineModel {
 public:
  using Config = granitemoe::Config;
  explicit GraniteMoeForCausalLM(std::shared_ptr<const Config> config) : config_(std::move(config)) {}
  std::vector<tensor::KvLayer> kv_parameters() const override;
  void build(const model::BuildContext& context) const override;

 private:
  std::shared_ptr<const Config> config_;
};

const model::Architecture& architecture();

}  // namespace tenon::architectures::granitemoe
