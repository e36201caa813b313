// gpt-oss-20b and -120b: attention sinks, alternating windows, and experts of a clamped SwiGLU.
#pragma once

#include "model/sdk.h"

namespace tenon::architectures::gpt_oss {

struct Config : model::ModelConfig {
  int intermediate_size = 0;
  int num_attention_heads = 0;
  int num_key_value_heads = 0;
  int head_dim = 0;
  double rms_norm_eps = 0;
  bool attention_bias = true;
  int num_local_experts = 0;
  int num_experts_per_tok = 0;
  double swiglu_alpha = 1.702, swiglu_limit = 7.0;
  bool tie_word_embeddings = false;
  nn::RopeConfig rope;
  std::vector<int> windows;  ///< positions that each layer's tokens see; 0: all
};

std::shared_ptr<model::ModelConfig> parse_config(model::ConfigReader& config);
Result<Json> config_from_gguf(const weights::Checkpoint& checkpoint);

model::WeightAdapter from_safetensors(const model::ModelConfig& config);
model::WeightAdapter from_gguf(const model::ModelConfig& config);

class GptOssForCausalLM final : public model::PipelineModel {
 public:
  using Config = gpt_oss::Config;
  explicit GptOssForCausalLM(std::shared_ptr<const Config> config) : config_(std::move(config)) {}
  std::vector<tensor::KvLayer> kv_parameters() const override;
  void build(const model::BuildContext& context) const override;

 private:
  std::shared_ptr<const Config> config_;
};

const model::Architecture& architecture();

}  // namespace tenon::architectures::gpt_oss
