// DeepSeek-V3 and R1: multi-head latent attention over a compressed cache, shared and routed experts.
#pragma once

#include "model/sdk.h"

namespace tenon::architectures::deepseek_v3 {

struct Config : model::ModelConfig {
  int intermediate_size = 0;
  nn::LatentAttentionConfig attention;
  double rms_norm_eps = 0;
  nn::Activation hidden_act = nullptr;
  int n_routed_experts = 0, num_experts_per_tok = 0, n_shared_experts = 0;
  int moe_intermediate_size = 0;
  int first_k_dense_replace = 0;  ///< so many layers have no experts
  int n_group = 1, topk_group = 1;
  double routed_scaling_factor = 1;
  bool norm_topk_prob = true;
  std::vector<std::string> nextn_layers;  ///< patterns: tensors of the layers that predict further tokens
  bool tie_word_embeddings = false;
  nn::RopeConfig rope;
};

std::shared_ptr<model::ModelConfig> parse_config(model::ConfigReader& config);

/// Of a file with the name deepseek2 whose router scores by sigmoids; deepseek_v2 sends them here.
Result<Json> config_from_gguf(const weights::Checkpoint& checkpoint);

model::WeightAdapter from_safetensors(const model::ModelConfig& config);
model::WeightAdapter from_gguf(const model::ModelConfig& config);

class DeepseekV3ForCausalLM final : public model::PipelineModel {
 public:
  using Config = deepseek_v3::Config;
  explicit DeepseekV3ForCausalLM(std::shared_ptr<const Config> config) : config_(std::move(config)) {}
  std::vector<tensor::KvLayer> kv_parameters() const override;
  void build(const model::BuildContext& context) const override;

 private:
  std::shared_ptr<const Config> config_;
};

const model::Architecture& architecture();

}  // namespace tenon::architectures::deepseek_v3
