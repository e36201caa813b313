#include "olmo2.h"

namespace tenon::architectures::olmo2 {

using model::WeightAdapter;

WeightAdapter from_safetensors(const model::ModelConfig& config) {
  WeightAdapter adapter{.rules = {model::kSameNames}, .ignored = {"model.layers.{i}.self_attn.rotary_emb.inv_freq"}};
  // transformers ties lm_head to the embedding, whatever the checkpoint holds beside it.
  if (static_cast<const Config&>(config).tie_word_embeddings) adapter.ignored.push_back("lm_head.weight");
  return adapter;
}

}  // namespace tenon::architectures::olmo2
