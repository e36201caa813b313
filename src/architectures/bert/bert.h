// BERT as an embedder: its hidden states, which the pooling of sentence-transformers makes a vector of.
#pragma once

#include "model/sdk.h"

namespace tenon::architectures::bert {

struct Config : model::ModelConfig {
  int intermediate_size = 0;
  int num_attention_heads = 0;
  int head_dim = 0;
  int type_vocab_size = 0;
  double layer_norm_eps = 0;
  nn::Activation hidden_act = nullptr;
};

std::shared_ptr<model::ModelConfig> parse_config(model::ConfigReader& config);
Result<Json> config_from_gguf(const weights::Checkpoint& checkpoint);

model::WeightAdapter from_safetensors(const model::ModelConfig& config);
model::WeightAdapter from_gguf(const model::ModelConfig& config);

class BertModel final : public model::PipelineModel {
 public:
  using Config = bert::Config;
  explicit BertModel(std::shared_ptr<const Config> config) : config_(std::move(config)) {}
  std::vector<tensor::KvLayer> kv_parameters() const override;
  void build(const model::BuildContext& context) const override;

 private:
  std::shared_ptr<const Config> config_;
};

const model::Architecture& architecture();

}  // namespace tenon::architectures::bert
