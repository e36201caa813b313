#include "gpt_neox.h"

namespace tenon::architectures::gpt_neox {

using model::WeightAdapter;

WeightAdapter from_safetensors(const model::ModelConfig& config) {
  // The first releases keep the causal mask, and what stands in it for minus infinity.
  WeightAdapter adapter{.rules = {model::kSameNames},
                        .ignored = {"gpt_neox.layers.{i}.attention.bias", "gpt_neox.layers.{i}.attention.masked_bias",
                                    "gpt_neox.layers.{i}.attention.rotary_emb.inv_freq"}};
  // transformers ties embed_out to the embedding, whatever the checkpoint holds beside it.
  if (static_cast<const Config&>(config).tie_word_embeddings) adapter.ignored.push_back("embed_out.weight");
  return adapter;
}

WeightAdapter from_gguf(const model::ModelConfig& config) {
  // llama.cpp's converter takes the rows of q, k and v apart: all of q, then k, then v.
  const auto by_head = model::Transform::by_head(3, static_cast<const Config&>(config).head_dim);
  return {.rules = {{"token_embd.weight", "gpt_neox.embed_in.weight"},
                    {"output_norm.*", "gpt_neox.final_layer_norm.*"},
                    {"output.weight", "embed_out.weight"},
                    {"blk.{i}.attn_norm.*", "gpt_neox.layers.{i}.input_layernorm.*"},
                    {"blk.{i}.attn_qkv.*", "gpt_neox.layers.{i}.attention.query_key_value.*", by_head},
                    {"blk.{i}.attn_output.*", "gpt_neox.layers.{i}.attention.dense.*"},
                    {"blk.{i}.ffn_norm.*", "gpt_neox.layers.{i}.post_attention_layernorm.*"},
                    {"blk.{i}.ffn_up.*", "gpt_neox.layers.{i}.mlp.dense_h_to_4h.*"},
                    {"blk.{i}.ffn_down.*", "gpt_neox.layers.{i}.mlp.dense_4h_to_h.*"}}};
}

}  // namespace tenon::architectures::gpt_neox
