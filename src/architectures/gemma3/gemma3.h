// Gemma 3, text only.
#pragma once

#include "model/sdk.h"

namespace tenon::architectures::gemma3 {

struct Config : model::ModelConfig {
  int intermediate_size = 0;
  int num_attention_heads = 0;
  int num_key_value_heads = 0;
  int head_dim = 0;
  double rms_norm_eps = 0;
  nn::Activation hidden_activation = nullptr;
  bool attention_bias = false;
  bool tie_word_embeddings = true;
  double query_pre_attn_scalar = 0;
  double final_logit_softcapping = 0;  ///< 0: none
  int sliding_window = 0;
  std::vector<bool> slides;  ///< which layers see only the window, and use the local rope
  nn::RopeConfig global_rope, local_rope;
};

std::shared_ptr<model::ModelConfig> parse_config(model::ConfigReader& config);
Result<Json> config_from_gguf(const weights::Checkpoint& checkpoint);

model::WeightAdapter from_safetensors(const model::ModelConfig& config);
model::WeightAdapter from_gguf(const model::ModelConfig& config);

class Gemma3ForCausalLM final : public model::PipelineModel {
 public:
  using Config = gemma3::Config;
  explicit Gemma3ForCausalLM(std::shared_ptr<const Config> config) : config_(std::move(config)) {}
  std::vector<tensor::KvLayer> kv_parameters() const override;
  void build(const model::BuildContext& context) const override;

 private:
  std::shared_ptr<const Config> config_;
};

const model::Architecture& architecture();

}  // namespace tenon::architectures::gemma3
