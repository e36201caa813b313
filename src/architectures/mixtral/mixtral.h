// Mixtral 8x7B and 8x22B: Llama with a mixture of experts in place of the MLP.
#pragma once

#include "model/sdk.h"

namespace tenon::architectures::mixtral {

struct Config : model::ModelConfig {
  int intermediate_size = 0;
  int num_attention_heads = 0;
  int num_key_value_heads = 0;
  int head_dim = 0;
  double rms_norm_eps = 0;
  nn::Activation hidden_act = nullptr;
  int num_local_experts = 0;
  int num_experts_per_tok = 0;
  int sliding_window = 0;  ///< positions that a token sees; 0: all
  bool tie_word_embeddings = false;
  nn::RopeConfig rope;
};

std::shared_ptr<model::ModelConfig> parse_config(model::ConfigReader& config);
/// Of a "llama" file with experts: the folder llama, which sees it first, says that it is one.
Result<Json> config_from_gguf(const weights::Checkpoint& checkpoint);

model::WeightAdapter from_safetensors(const model::ModelConfig& config);
model::WeightAdapter from_gguf(const model::ModelConfig& config);

class MixtralForCausalLM final : public model::PipelineModel {
 public:
  using Config = mixtral::Config;
  explicit MixtralForCausalLM(std::shared_ptr<const Config> config) : config_(std::move(config)) {}
  std::vector<tensor::KvLayer> kv_parameters() const override;
  void build(const model::BuildContext& context) const override;

 private:
  std::shared_ptr<const Config> config_;
};

const model::Architecture& architecture();

}  // namespace tenon::architectures::mixtral
