// SmolLM 3.
#pragma once

#include "model/sdk.h"

namespace tenon::architectures::smollm3 {

struct Config : model::ModelConfig {
  int intermediate_size = 0;
  int num_attention_heads = 0;
  int num_key_value_heads = 0;
  int head_dim = 0;
  double rms_norm_eps = 0;
  nn::Activation hidden_act = nullptr;
  bool attention_bias = false;
  bool mlp_bias = false;
  bool tie_word_embeddings = true;
  nn::RopeConfig rope;
  std::vector<bool> rotates;  ///< which layers are rotated; the others know no positions (NoPE)
  std::vector<int> windows;   ///< positions that each layer's tokens see; 0: all
};

std::shared_ptr<model::ModelConfig> parse_config(model::ConfigReader& config);
Result<Json> config_from_gguf(const weights::Checkpoint& checkpoint);

model::WeightAdapter from_safetensors(const model::ModelConfig& config);
model::WeightAdapter from_gguf(const model::ModelConfig& config);

class SmolLM3ForCausalLM final : public model::PipelineModel {
 public:
  using Config = smollm3::Config;
  explicit SmolLM3ForCausalLM(std::shared_ptr<const Config> config) : config_(std::move(config)) {}
  std::vector<tensor::KvLayer> kv_parameters() const override;
  void build(const model::BuildContext& context) const override;

 private:
  std::shared_ptr<const Config> config_;
};

const model::Architecture& architecture();

}  // namespace tenon::architectures::smollm3
