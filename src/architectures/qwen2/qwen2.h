// Qwen 2 and 2.5.
#pragma once

#include "model/sdk.h"

namespace tenon::architectures::qwen2 {

struct Config : model::ModelConfig {
  int intermediate_size = 0;
  int num_attention_heads = 0;
  int num_key_value_heads = 0;
  int head_dim = 0;
  double rms_norm_eps = 0;
  nn::Activation hidden_act = nullptr;
  bool tie_word_embeddings = false;
  nn::RopeConfig rope;
  std::vector<int> windows;  ///< positions that each layer's tokens see; 0: all
};

std::shared_ptr<model::ModelConfig> parse_config(model::ConfigReader& config);
Result<Json> config_from_gguf(const weights::Checkpoint& checkpoint);

model::WeightAdapter from_safetensors(const model::ModelConfig& config);
model::WeightAdapter from_gguf(const model::ModelConfig& config);

class Qwen2ForCausalLM final : public model::PipelineModel {
 public:
  using Config = qwen2::Config;
  explicit Qwen2ForCausalLM(std::shared_ptr<const Config> config) : config_(std::move(config)) {}
  std::vector<tensor::KvLayer> kv_parameters() const override;
  void build(const model::BuildContext& context) const override;

 private:
  std::shared_ptr<const Config> config_;
};

const model::Architecture& architecture();

}  // namespace tenon::architectures::qwen2
