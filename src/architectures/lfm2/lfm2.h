// LFM2: gated short convolutions, and attention in some layers.
#pragma once

#include "model/sdk.h"

namespace tenon::architectures::lfm2 {

struct Config : model::ModelConfig {
  int intermediate_size = 0;  ///< as the MLP has it, after the config's adjustment
  int num_attention_heads = 0;
  int num_key_value_heads = 0;
  int head_dim = 0;
  double norm_eps = 0;
  int conv_L_cache = 0;  ///< taps of the convolution
  bool conv_bias = false;
  bool tie_word_embeddings = true;
  nn::RopeConfig rope;
  std::vector<bool> attends;  ///< by layer; the others convolve
};

std::shared_ptr<model::ModelConfig> parse_config(model::ConfigReader& config);
Result<Json> config_from_gguf(const weights::Checkpoint& checkpoint);

model::WeightAdapter from_safetensors(const model::ModelConfig& config);
model::WeightAdapter from_gguf(const model::ModelConfig& config);

class Lfm2ForCausalLM final : public model::PipelineModel {
 public:
  using Config = lfm2::Config;
  explicit Lfm2ForCausalLM(std::shared_ptr<const Config> config) : config_(std::move(config)) {}
  std::vector<tensor::KvLayer> kv_parameters() const override;
  void build(const model::BuildContext& context) const override;

 private:
  std::shared_ptr<const Config> config_;
};

const model::Architecture& architecture();

}  // namespace tenon::architectures::lfm2
