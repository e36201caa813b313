// GLM-4 (0414): four norms a block, a part of each head rotated in interleaved pairs, gate and up in one matrix.
#pragma once

#include "model/sdk.h"

namespace tenon::architectures::glm4 {

struct Config : model::ModelConfig {
  int intermediate_size = 0;
  int num_attention_heads = 0;
  int num_key_value_heads = 0;
  int head_dim = 0;
  double rms_norm_eps = 0;
  nn::Activation hidden_act = nullptr;
  bool attention_bias = true;
  bool tie_word_embeddings = false;
  nn::RopeConfig rope;  ///< of the part of a head that is rotated
};

std::shared_ptr<model::ModelConfig> parse_config(model::ConfigReader& config);
Result<Json> config_from_gguf(const weights::Checkpoint& checkpoint);
model::WeightAdapter from_safetensors(const model::ModelConfig& config);
model::WeightAdapter from_gguf(const model::ModelConfig& config);

class Glm4ForCausalLM final : public model::PipelineModel {
 public:
  using Config = glm4::Config;
  explicit Glm4ForCausalLM(std::shared_ptr<const Config> config) : config_(std::move(config)) {}
  std::vector<tensor::KvLayer> kv_parameters() const override;
  void build(const model::BuildContext& context) const override;

 private:
  std::shared_ptr<const Config> config_;
};

const model::Architecture& architecture();

}  // namespace tenon::architectures::glm4
