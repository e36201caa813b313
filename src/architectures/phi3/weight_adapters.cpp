#include "phi3.h"

namespace tenon::architectures::phi3 {

using model::WeightAdapter;

WeightAdapter from_safetensors(const model::ModelConfig& config) {
  WeightAdapter adapter{.rules = {model::kSameNames}, .ignored = {"model.layers.{i}.self_attn.rotary_emb.inv_freq"}};
  // transformers ties lm_head to the embedding, whatever the checkpoint holds beside it.
  if (static_cast<const Config&>(config).tie_word_embeddings) adapter.ignored.push_back("lm_head.weight");
  return adapter;
}

WeightAdapter from_gguf(const model::ModelConfig&) {
  // llama.cpp keeps the fused tensors, gate before up, and rotates halves: nothing is permuted.
  return {.rules = {{"token_embd.weight", "model.embed_tokens.weight"},
                    {"output_norm.weight", "model.norm.weight"},
                    {"output.weight", "lm_head.weight"},
                    {"blk.{i}.attn_norm.weight", "model.layers.{i}.input_layernorm.weight"},
                    {"blk.{i}.attn_qkv.weight", "model.layers.{i}.self_attn.qkv_proj.weight"},
                    {"blk.{i}.attn_output.weight", "model.layers.{i}.self_attn.o_proj.weight"},
                    {"blk.{i}.ffn_norm.weight", "model.layers.{i}.post_attention_layernorm.weight"},
                    {"blk.{i}.ffn_up.weight", "model.layers.{i}.mlp.gate_up_proj.weight"},
                    {"blk.{i}.ffn_down.weight", "model.layers.{i}.mlp.down_proj.weight"}},
          // They become short_factor and long_factor of rope_parameters.
          .ignored = {"rope_factors_short.weight", "rope_factors_long.weight"}};
}

}  // namespace tenon::architectures::phi3
