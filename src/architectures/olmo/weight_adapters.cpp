#include "olmo.h"

namespace tenon::architectures::olmo {

using model::Transform;
using model::WeightAdapter;

WeightAdapter from_safetensors(const model::ModelConfig& config) {
  WeightAdapter adapter{.rules = {model::kSameNames}, .ignored = {"model.layers.{i}.self_attn.rotary_emb.inv_freq"}};
  // transformers ties lm_head to the embedding, whatever the checkpoint holds beside it.
  if (static_cast<const Config&>(config).tie_word_embeddings) adapter.ignored.push_back("lm_head.weight");
  return adapter;
}

WeightAdapter from_gguf(const model::ModelConfig& config) {
  // llama.cpp's converter stores the rows of q and k as rope pairs (2i, 2i+1), but leaves their biases as they are.
  const Transform rope = Transform::unpermute_rope(static_cast<const Config&>(config).head_dim);
  return {.rules = {{"token_embd.weight", "model.embed_tokens.weight"},
                    {"output.weight", "lm_head.weight"},
                    {"blk.{i}.attn_q.weight", "model.layers.{i}.self_attn.q_proj.weight", rope},
                    {"blk.{i}.attn_k.weight", "model.layers.{i}.self_attn.k_proj.weight", rope},
                    {"blk.{i}.attn_q.bias", "model.layers.{i}.self_attn.q_proj.bias"},
                    {"blk.{i}.attn_k.bias", "model.layers.{i}.self_attn.k_proj.bias"},
                    {"blk.{i}.attn_v.*", "model.layers.{i}.self_attn.v_proj.*"},
                    {"blk.{i}.attn_output.*", "model.layers.{i}.self_attn.o_proj.*"},
                    {"blk.{i}.ffn_gate.weight", "model.layers.{i}.mlp.gate_proj.weight"},
                    {"blk.{i}.ffn_up.weight", "model.layers.{i}.mlp.up_proj.weight"},
                    {"blk.{i}.ffn_down.weight", "model.layers.{i}.mlp.down_proj.weight"}}};
}

}  // namespace tenon::architectures::olmo
