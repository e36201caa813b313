// Cohere's Command R, Command R+ and Aya: layer norms without biases, one before both branches, which stand side by
// side; neighbouring dims rotate together; scaled logits.
#pragma once

#include "model/sdk.h"

namespace tenon::architectures::cohere {

struct Config : model::ModelConfig {
  int intermediate_size = 0;
  int num_attention_heads = 0;
  int num_key_value_heads = 0;
  int head_dim = 0;
  double layer_norm_eps = 0;
  nn::Activation hidden_act = nullptr;
  bool attention_bias = false;
  bool use_qk_norm = false;
  bool tie_word_embeddings = true;
  double logit_scale = 1;
  nn::RopeConfig rope;
};

std::shared_ptr<model::ModelConfig> parse_config(model::ConfigReader& config);
Result<Json> config_from_gguf(const weights::Checkpoint& checkpoint);

model::WeightAdapter from_safetensors(const model::ModelConfig& config);
model::WeightAdapter from_gguf(const model::ModelConfig& config);

class CohereForCausalLM final : public model::PipelineModel {
 public:
  using Config = cohere::Config;
  explicit CohereForCausalLM(std::shared_ptr<const Config> config) : config_(std::move(config)) {}
  std::vector<tensor::KvLayer> kv_parameters() const override;
  void build(const model::BuildContext& context) const override;

 private:
  std::shared_ptr<const Config> config_;
};

const model::Architecture& architecture();

}  // namespace tenon::architectures::cohere
