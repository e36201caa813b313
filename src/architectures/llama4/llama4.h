// Llama 4 Scout and Maverick, their text: chunked attention, layers that do not rotate, experts whose input is weighed.
#pragma once

#include "model/sdk.h"

namespace tenon::architectures::llama4 {

struct Config : model::ModelConfig {
  int intermediate_size = 0;      ///< of an expert
  int intermediate_size_mlp = 0;  ///< of the layers without experts
  int num_attention_heads = 0;
  int num_key_value_heads = 0;
  int head_dim = 0;
  double rms_norm_eps = 0;
  nn::Activation hidden_act = nullptr;
  bool attention_bias = false;
  bool use_qk_norm = true;  ///< of queries and keys of the layers that rotate
  int num_local_experts = 0;
  int num_experts_per_tok = 0;
  bool attn_temperature_tuning = true;  ///< of the layers that do not rotate
  double floor_scale = 0, attn_scale = 0;
  bool tie_word_embeddings = false;
  nn::RopeConfig rope;
  struct Layer {
    bool rotates = true;
    bool has_experts = true;
    int chunk = 0;  ///< positions of a chunk of attention; 0: all
  };
  std::vector<Layer> layers;
};

std::shared_ptr<model::ModelConfig> parse_config(model::ConfigReader& config);
Result<Json> config_from_gguf(const weights::Checkpoint& checkpoint);

model::WeightAdapter from_safetensors(const model::ModelConfig& config);
model::WeightAdapter from_gguf(const model::ModelConfig& config);

class Llama4ForCausalLM final : public model::PipelineModel {
 public:
  using Config = llama4::Config;
  explicit Llama4ForCausalLM(std::shared_ptr<const Config> config) : config_(std::move(config)) {}
  std::vector<tensor::KvLayer> kv_parameters() const override;
  void build(const model::BuildContext& context) const override;

 private:
  std::shared_ptr<const Config> config_;
};

const model::Architecture& architecture();

}  // namespace tenon::architectures::llama4
