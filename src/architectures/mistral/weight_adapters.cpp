#include "mistral.h"

namespace tenon::architectures::mistral {

using model::WeightAdapter;

// llama.cpp converts Mistral to its "llama" architecture, so its GGUF files are read by the folder llama.
WeightAdapter from_safetensors(const model::ModelConfig& config) {
  WeightAdapter adapter{.rules = {model::kSameNames}, .ignored = {"model.layers.{i}.self_attn.rotary_emb.inv_freq"}};
  // transformers ties lm_head to the embedding, whatever the checkpoint holds beside it.
  if (static_cast<const Config&>(config).tie_word_embeddings) adapter.ignored.push_back("lm_head.weight");
  return adapter;
}

}  // namespace tenon::architectures::mistral
