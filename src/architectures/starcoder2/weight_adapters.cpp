#include "starcoder2.h"

namespace tenon::architectures::starcoder2 {

using model::WeightAdapter;

WeightAdapter from_safetensors(const model::ModelConfig& config) {
  WeightAdapter adapter{.rules = {model::kSameNames}, .ignored = {"model.layers.{i}.self_attn.rotary_emb.inv_freq"}};
  // transformers ties lm_head to the embedding, whatever the checkpoint holds beside it.
  if (static_cast<const Config&>(config).tie_word_embeddings) adapter.ignored.push_back("lm_head.weight");
  return adapter;
}

WeightAdapter from_gguf(const model::ModelConfig&) {
  // Rows of q and k are as in the original: llama.cpp rotates halves for this architecture.
  return {.rules = {{"token_embd.weight", "model.embed_tokens.weight"},
                    {"output_norm.*", "model.norm.*"},
                    {"output.weight", "lm_head.weight"},
                    {"blk.{i}.attn_norm.*", "model.layers.{i}.input_layernorm.*"},
                    {"blk.{i}.attn_q.*", "model.layers.{i}.self_attn.q_proj.*"},
                    {"blk.{i}.attn_k.*", "model.layers.{i}.self_attn.k_proj.*"},
                    {"blk.{i}.attn_v.*", "model.layers.{i}.self_attn.v_proj.*"},
                    {"blk.{i}.attn_output.*", "model.layers.{i}.self_attn.o_proj.*"},
                    {"blk.{i}.ffn_norm.*", "model.layers.{i}.post_attention_layernorm.*"},
                    {"blk.{i}.ffn_up.*", "model.layers.{i}.mlp.c_fc.*"},
                    {"blk.{i}.ffn_down.*", "model.layers.{i}.mlp.c_proj.*"}},
          .ignored = {"rope_freqs.weight"}};
}

}  // namespace tenon::architectures::starcoder2
