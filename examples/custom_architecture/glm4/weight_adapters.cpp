#include "glm4.h"

namespace tenon::architectures::glm4 {

model::WeightAdapter from_safetensors(const model::ModelConfig& config) {
  model::WeightAdapter adapter{.rules = {model::kSameNames}};
  // transformers ties lm_head to the embedding, whatever the checkpoint holds beside it.
  if (static_cast<const Config&>(config).tie_word_embeddings) adapter.ignored.push_back("lm_head.weight");
  return adapter;
}

model::WeightAdapter from_gguf(const model::ModelConfig&) {
  return {.rules = {{"token_embd.weight", "model.embed_tokens.weight"},
                    {"output_norm.weight", "model.norm.weight"},
                    {"output.weight", "lm_head.weight"},
                    {"blk.{i}.attn_norm.weight", "model.layers.{i}.input_layernorm.weight"},
                    {"blk.{i}.attn_q.*", "model.layers.{i}.self_attn.q_proj.*"},
                    {"blk.{i}.attn_k.*", "model.layers.{i}.self_attn.k_proj.*"},
                    {"blk.{i}.attn_v.*", "model.layers.{i}.self_attn.v_proj.*"},
                    {"blk.{i}.attn_output.weight", "model.layers.{i}.self_attn.o_proj.weight"},
                    {"blk.{i}.post_attention_norm.weight", "model.layers.{i}.post_self_attn_layernorm.weight"},
                    {"blk.{i}.ffn_norm.weight", "model.layers.{i}.post_attention_layernorm.weight"},
                    {"blk.{i}.ffn_up.weight", "model.layers.{i}.mlp.gate_up_proj.weight"},
                    {"blk.{i}.ffn_down.weight", "model.layers.{i}.mlp.down_proj.weight"},
                    {"blk.{i}.post_ffw_norm.weight", "model.layers.{i}.post_mlp_layernorm.weight"}}};
}

}  // namespace tenon::architectures::glm4
