// Starcoder 2: Llama with layer norms, biases everywhere and an MLP without a gate.
#pragma once

#include "model/sdk.h"

namespace tenon::architectures::starcoder2 {

struct Config : model::ModelConfig {
  int intermediate_size = 0;
  int num_attention_heads = 0;
  int num_key_value_heads = 0;
  int head_dim = 0;
  double norm_epsilon = 0;
  nn::Activation hidden_act = nullptr;
  bool use_bias = true;
  bool tie_word_embeddings = true;
  int sliding_window = 0;  ///< positions that a token sees; 0: all
  nn::RopeConfig rope;
};

std::shared_ptr<model::ModelConfig> parse_config(model::ConfigReader& config);
Result<Json> config_from_gguf(const weights::Checkpoint& checkpoint);

model::WeightAdapter from_safetensors(const model::ModelConfig& config);
model::WeightAdapter from_gguf(const model::ModelConfig& config);

class Starcoder2ForCausalLM final : public model::PipelineModel {
 public:
  using Config = starcoder2::Config;
  explicit Starcoder2ForCausalLM(std::shared_ptr<const Config> config) : config_(std::move(config)) {}
  std::vector<tensor::KvLayer> kv_parameters() const override;
  void build(const model::BuildContext& context) const override;

 private:
  std::shared_ptr<const Config> config_;
};

const model::Architecture& architecture();

}  // namespace tenon::architectures::starcoder2
