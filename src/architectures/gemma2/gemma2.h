// Gemma 2.
#pragma once

#include "model/sdk.h"

namespace tenon::architectures::gemma2 {

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
  double attn_logit_softcapping = 0;   ///< 0: none
  double final_logit_softcapping = 0;  ///< 0: none
  int sliding_window = 0;
  std::vector<bool> slides;  ///< which layers see only the window
  nn::RopeConfig rope;
};

std::shared_ptr<model::ModelConfig> parse_config(model::ConfigReader& config);
Result<Json> config_from_gguf(const weights::Checkpoint& checkpoint);

model::WeightAdapter from_safetensors(const model::ModelConfig& config);
model::WeightAdapter from_gguf(const model::ModelConfig& config);

class Gemma2ForCausalLM final : public model::PipelineModel {
 public:
  using Config = gemma2::Config;
  explicit Gemma2ForCausalLM(std::shared_ptr<const Config> config) : config_(std::move(config)) {}
  std::vector<tensor::KvLayer> kv_parameters() const override;
  void build(const model::BuildContext& context) const override;

 private:
  std::shared_ptr<const Config> config_;
};

const model::Architecture& architecture();

}  // namespace tenon::architectures::gemma2
