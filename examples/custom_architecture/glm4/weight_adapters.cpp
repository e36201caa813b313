#include "glm4.h"

namespace tenon::architectures::glm4 {

model::WeightAdapter from_safetensors(const model::ModelConfig& config) {
  model::WeightAdapter adapter{.rules = {model::kSameNames}};
  // transformers ties lm_head to the embedding, whatever the checkpoint holds beside it.
  if (static_cast<const Config&>(config).tie_word_embeddings) adapter.ignored.push_back("lm_head.weight");
  return adapter;
}

}  // namespace tenon::architectures::glm4
