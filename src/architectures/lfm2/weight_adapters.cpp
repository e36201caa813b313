#include "lfm2.h"

namespace tenon::architectures::lfm2 {

using model::Transform;
using model::WeightAdapter;

WeightAdapter from_safetensors(const model::ModelConfig& config) {
  WeightAdapter adapter{
      .rules = {{"model.layers.{i}.conv.conv.weight", "model.layers.{i}.conv.conv.weight", Transform::conv_taps()},
                model::kSameNames},
      .ignored = {"model.layers.{i}.self_attn.rotary_emb.inv_freq"}};
  // transformers ties lm_head to the embedding, whatever the checkpoint holds beside it.
  if (static_cast<const Config&>(config).tie_word_embeddings) adapter.ignored.push_back("lm_head.weight");
  return adapter;
}

// The rows of q and k are as in the original: llama.cpp rotates halves for this architecture.
WeightAdapter from_gguf(const model::ModelConfig&) {
  return {.rules = {{"token_embd.weight", "model.embed_tokens.weight"},
                    {"token_embd_norm.weight", "model.embedding_norm.weight"},
                    {"output.weight", "lm_head.weight"},
                    {"blk.{i}.attn_norm.weight", "model.layers.{i}.operator_norm.weight"},
                    {"blk.{i}.ffn_norm.weight", "model.layers.{i}.ffn_norm.weight"},
                    {"blk.{i}.attn_q.weight", "model.layers.{i}.self_attn.q_proj.weight"},
                    {"blk.{i}.attn_k.weight", "model.layers.{i}.self_attn.k_proj.weight"},
                    {"blk.{i}.attn_v.weight", "model.layers.{i}.self_attn.v_proj.weight"},
                    {"blk.{i}.attn_output.weight", "model.layers.{i}.self_attn.out_proj.weight"},
                    {"blk.{i}.attn_q_norm.weight", "model.layers.{i}.self_attn.q_layernorm.weight"},
                    {"blk.{i}.attn_k_norm.weight", "model.layers.{i}.self_attn.k_layernorm.weight"},
                    {"blk.{i}.shortconv.conv.weight", "model.layers.{i}.conv.conv.weight", Transform::conv_taps()},
                    {"blk.{i}.shortconv.conv.bias", "model.layers.{i}.conv.conv.bias"},
                    {"blk.{i}.shortconv.in_proj.*", "model.layers.{i}.conv.in_proj.*"},
                    {"blk.{i}.shortconv.out_proj.*", "model.layers.{i}.conv.out_proj.*"},
                    {"blk.{i}.ffn_gate.weight", "model.layers.{i}.feed_forward.w1.weight"},
                    {"blk.{i}.ffn_down.weight", "model.layers.{i}.feed_forward.w2.weight"},
                    {"blk.{i}.ffn_up.weight", "model.layers.{i}.feed_forward.w3.weight"}},
          .ignored = {"rope_freqs.weight"}};
}

}  // namespace tenon::architectures::lfm2
