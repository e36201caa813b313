#include "cohere.h"

namespace tenon::architectures::cohere {

using model::Transform;
using model::WeightAdapter;

WeightAdapter from_safetensors(const model::ModelConfig& config) {
  const auto& c = static_cast<const Config&>(config);
  const Transform flatten = Transform::flatten(c.head_dim);
  WeightAdapter adapter{
      .rules = {{"model.layers.{i}.self_attn.q_norm.weight", "model.layers.{i}.self_attn.q_norm.weight", flatten},
                {"model.layers.{i}.self_attn.k_norm.weight", "model.layers.{i}.self_attn.k_norm.weight", flatten},
                model::kSameNames}};
  // transformers ties lm_head to the embedding, whatever the checkpoint holds beside it.
  if (c.tie_word_embeddings) adapter.ignored.push_back("lm_head.weight");
  return adapter;
}

WeightAdapter from_gguf(const model::ModelConfig& config) {
  // Rows of q and k are as in the original: llama.cpp rotates neighbours for this architecture too.
  const Transform flatten = Transform::flatten(static_cast<const Config&>(config).head_dim);
  return {.rules = {{"token_embd.weight", "model.embed_tokens.weight"},
                    {"output_norm.weight", "model.norm.weight"},
                    {"output.weight", "lm_head.weight"},
                    {"blk.{i}.attn_norm.weight", "model.layers.{i}.input_layernorm.weight"},
                    {"blk.{i}.attn_q_norm.weight", "model.layers.{i}.self_attn.q_norm.weight", flatten},
                    {"blk.{i}.attn_k_norm.weight", "model.layers.{i}.self_attn.k_norm.weight", flatten},
                    {"blk.{i}.attn_q.*", "model.layers.{i}.self_attn.q_proj.*"},
                    {"blk.{i}.attn_k.*", "model.layers.{i}.self_attn.k_proj.*"},
                    {"blk.{i}.attn_v.*", "model.layers.{i}.self_attn.v_proj.*"},
                    {"blk.{i}.attn_output.*", "model.layers.{i}.self_attn.o_proj.*"},
                    {"blk.{i}.ffn_gate.weight", "model.layers.{i}.mlp.gate_proj.weight"},
                    {"blk.{i}.ffn_up.weight", "model.layers.{i}.mlp.up_proj.weight"},
                    {"blk.{i}.ffn_down.weight", "model.layers.{i}.mlp.down_proj.weight"}}};
}

}  // namespace tenon::architectures::cohere
