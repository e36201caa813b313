// Qwen 3 with a mixture of experts: Qwen3-30B-A3B, Qwen3-235B-A22B, Qwen3-Coder.
#pragma once

#include "model/sdk.h"

namespace tenon::architectures::qwen3_moe {

struct Config : model::ModelConfig {
  int intermediate_size = 0;
  int num_attention_heads = 0;
  int num_key_value_heads = 0;
  int head_dim = 0;
  double rms_norm_eps = 0;
  nn::Activation hidden_act = nullptr;
  bool attention_bias = false;
  int moe_intermediate_size = 0;  ///< of an expert; intermediate_size is that of a dense layer
  int num_experts = 0;
  int num_experts_per_tok = 0;
  bool norm_topk_prob = false;
  int sliding_window = 0;    ///< positions that a token sees; 0: all
  std::vector<bool> sparse;  ///< which layers have experts
  bool tie_word_embeddings = false;
  nn::RopeConfig rope;
};

std::shared_ptr<model::ModelConfig> parse_config(model::ConfigReader& config);
Result<Json> config_from_gguf(const weights::Checkpoint& checkpoint);

model::WeightAdapter from_safetensors(const model::ModelConfig& config);
model::WeightAdapter from_gguf(const model::ModelConfig& config);

class Qwen3MoeForCausalLM final : public model::PipelineModel {
 public:
  using Config = qwen3_moe::Config;
  explicit Qwen3MoeForCausalLM(std::shared_ptr<const Config> config) : config_(std::move(config)) {}
  std::vector<tensor::KvLayer> kv_parameters() const override;
  void build(const model::BuildContext& context) const override;

 private:
  std::shared_ptr<const Config> config_;
};

const model::Architecture& architecture();

}  // namespace tenon::architectures::qwen3_moe
