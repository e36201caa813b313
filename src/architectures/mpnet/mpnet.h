// MPNet as an embedder: its hidden states, which the pooling of sentence-transformers makes a vector of.
#pragma once

#include "model/sdk.h"

namespace tenon::architectures::mpnet {

/// The first token has the position of padding (always 1 there, whatever the config says) plus one.
inline constexpr int kFirstPosition = 2;

struct Config : model::ModelConfig {
  int intermediate_size = 0;
  int num_attention_heads = 0;
  int head_dim = 0;
  int relative_attention_num_buckets = 0;
  int position_rows = 0;  ///< of the position table: max_position_embeddings, of which the first are never used
  double layer_norm_eps = 0;
  nn::Activation hidden_act = nullptr;
};

std::shared_ptr<model::ModelConfig> parse_config(model::ConfigReader& config);

model::WeightAdapter from_safetensors(const model::ModelConfig& config);

class MPNetForMaskedLM final : public model::PipelineModel {
 public:
  using Config = mpnet::Config;
  explicit MPNetForMaskedLM(std::shared_ptr<const Config> config) : config_(std::move(config)) {}
  std::vector<tensor::KvLayer> kv_parameters() const override;
  void build(const model::BuildContext& context) const override;

 private:
  std::shared_ptr<const Config> config_;
};

const model::Architecture& architecture();

}  // namespace tenon::architectures::mpnet
