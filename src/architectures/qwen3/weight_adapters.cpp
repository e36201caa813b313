#include "qwen3.h"

namespace tenon::architectures::qwen3 {

using model::WeightAdapter;

WeightAdapter from_safetensors(const model::ModelConfig& config) {
  // The embedding models are stored without the "model." of the whole.
  WeightAdapter adapter{.rules = {{"embed_tokens.weight", "model.embed_tokens.weight"},
                                  {"layers.{i}.*", "model.layers.{i}.*"},
                                  {"norm.weight", "model.norm.weight"},
                                  model::kSameNames},
                        .ignored = {"model.layers.{i}.self_attn.rotary_emb.inv_freq"}};
  // transformers ties lm_head to the embedding, whatever the checkpoint holds beside it.
  if (static_cast<const Config&>(config).tie_word_embeddings) adapter.ignored.push_back("lm_head.weight");
  return adapter;
}

WeightAdapter from_gguf(const model::ModelConfig&) {
  // Unlike Llama's, the rows of q and k are as in the original: llama.cpp rotates halves for this architecture.
  return {.rules = {{"token_embd.weight", "model.embed_tokens.weight"},
                    {"output_norm.weight", "model.norm.weight"},
                    {"output.weight", "lm_head.weight"},
                    {"blk.{i}.attn_norm.weight", "model.layers.{i}.input_layernorm.weight"},
                    {"blk.{i}.attn_q.*", "model.layers.{i}.self_attn.q_proj.*"},
                    {"blk.{i}.attn_k.*", "model.layers.{i}.self_attn.k_proj.*"},
                    {"blk.{i}.attn_v.*", "model.layers.{i}.self_attn.v_proj.*"},
                    {"blk.{i}.attn_output.*", "model.layers.{i}.self_attn.o_proj.*"},
                    {"blk.{i}.attn_q_norm.weight", "model.layers.{i}.self_attn.q_norm.weight"},
                    {"blk.{i}.attn_k_norm.weight", "model.layers.{i}.self_attn.k_norm.weight"},
                    {"blk.{i}.ffn_norm.weight", "model.layers.{i}.post_attention_layernorm.weight"},
                    {"blk.{i}.ffn_gate.weight", "model.layers.{i}.mlp.gate_proj.weight"},
                    {"blk.{i}.ffn_up.weight", "model.layers.{i}.mlp.up_proj.weight"},
                    {"blk.{i}.ffn_down.weight", "model.layers.{i}.mlp.down_proj.weight"}},
          // rope_freqs.weight becomes rope_parameters.frequency_factors.
          .ignored = {"rope_freqs.weight"}};
}

}  // namespace tenon::architectures::qwen3
