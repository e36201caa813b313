#include "gemma2.h"

namespace tenon::architectures::gemma2 {

using model::Transform;
using model::WeightAdapter;

WeightAdapter from_safetensors(const model::ModelConfig& config) {
  WeightAdapter adapter{.rules = {model::kSameNames}};
  // transformers ties lm_head to the embedding, whatever the checkpoint holds beside it.
  if (static_cast<const Config&>(config).tie_word_embeddings) adapter.ignored.push_back("lm_head.weight");
  return adapter;
}

WeightAdapter from_gguf(const model::ModelConfig&) {
  // llama.cpp's converter stores norms as 1 + w. Gemma's q and k are not permuted.
  const Transform minus_one = Transform::add(-1.0f);
  return {
      .rules = {{"token_embd.weight", "model.embed_tokens.weight"},
                {"output_norm.weight", "model.norm.weight", minus_one},
                {"output.weight", "lm_head.weight"},
                {"blk.{i}.attn_norm.weight", "model.layers.{i}.input_layernorm.weight", minus_one},
                {"blk.{i}.attn_q.*", "model.layers.{i}.self_attn.q_proj.*"},
                {"blk.{i}.attn_k.*", "model.layers.{i}.self_attn.k_proj.*"},
                {"blk.{i}.attn_v.*", "model.layers.{i}.self_attn.v_proj.*"},
                {"blk.{i}.attn_output.*", "model.layers.{i}.self_attn.o_proj.*"},
                {"blk.{i}.post_attention_norm.weight", "model.layers.{i}.post_attention_layernorm.weight", minus_one},
                {"blk.{i}.ffn_norm.weight", "model.layers.{i}.pre_feedforward_layernorm.weight", minus_one},
                {"blk.{i}.post_ffw_norm.weight", "model.layers.{i}.post_feedforward_layernorm.weight", minus_one},
                {"blk.{i}.ffn_gate.weight", "model.layers.{i}.mlp.gate_proj.weight"},
                {"blk.{i}.ffn_up.weight", "model.layers.{i}.mlp.up_proj.weight"},
                {"blk.{i}.ffn_down.weight", "model.layers.{i}.mlp.down_proj.weight"}}};
}

}  // namespace tenon::architectures::gemma2
