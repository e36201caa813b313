#include "mixtral.h"

namespace tenon::architectures::mixtral {

using model::Transform;
using model::WeightAdapter;

WeightAdapter from_safetensors(const model::ModelConfig& config) {
  // w1 is the gate, w3 the other factor, w2 the way down. transformers 5 holds all experts in one tensor, gate and up
  // one above the other, and may write them so.
  WeightAdapter adapter{
      .rules = {{"model.layers.{i}.block_sparse_moe.experts.{e}.w1.weight",
                 "model.layers.{i}.mlp.experts.gate_proj.weight[{e}]"},
                {"model.layers.{i}.block_sparse_moe.experts.{e}.w3.weight",
                 "model.layers.{i}.mlp.experts.up_proj.weight[{e}]"},
                {"model.layers.{i}.block_sparse_moe.experts.{e}.w2.weight",
                 "model.layers.{i}.mlp.experts.down_proj.weight[{e}]"},
                {"model.layers.{i}.block_sparse_moe.gate.weight", "model.layers.{i}.mlp.gate.weight"},
                {"model.layers.{i}.mlp.experts.gate_up_proj", "model.layers.{i}.mlp.experts.gate_proj.weight",
                 Transform::half(0)},
                {"model.layers.{i}.mlp.experts.gate_up_proj", "model.layers.{i}.mlp.experts.up_proj.weight",
                 Transform::half(1)},
                {"model.layers.{i}.mlp.experts.down_proj", "model.layers.{i}.mlp.experts.down_proj.weight"},
                model::kSameNames},
      .ignored = {"model.layers.{i}.self_attn.rotary_emb.inv_freq"}};
  // transformers ties lm_head to the embedding, whatever the checkpoint holds beside it.
  if (static_cast<const Config&>(config).tie_word_embeddings) adapter.ignored.push_back("lm_head.weight");
  return adapter;
}

WeightAdapter from_gguf(const model::ModelConfig& config) {
  // llama.cpp's converter stores the rows of q and k as rope pairs (2i, 2i+1).
  const Transform rope = Transform::unpermute_rope(static_cast<const Config&>(config).head_dim);
  return {.rules = {{"token_embd.weight", "model.embed_tokens.weight"},
                    {"output_norm.weight", "model.norm.weight"},
                    {"output.weight", "lm_head.weight"},
                    {"blk.{i}.attn_norm.weight", "model.layers.{i}.input_layernorm.weight"},
                    {"blk.{i}.attn_q.weight", "model.layers.{i}.self_attn.q_proj.weight", rope},
                    {"blk.{i}.attn_k.weight", "model.layers.{i}.self_attn.k_proj.weight", rope},
                    {"blk.{i}.attn_v.weight", "model.layers.{i}.self_attn.v_proj.weight"},
                    {"blk.{i}.attn_output.weight", "model.layers.{i}.self_attn.o_proj.weight"},
                    {"blk.{i}.ffn_norm.weight", "model.layers.{i}.post_attention_layernorm.weight"},
                    {"blk.{i}.ffn_gate_inp.weight", "model.layers.{i}.mlp.gate.weight"},
                    {"blk.{i}.ffn_gate_exps.weight", "model.layers.{i}.mlp.experts.gate_proj.weight"},
                    {"blk.{i}.ffn_up_exps.weight", "model.layers.{i}.mlp.experts.up_proj.weight"},
                    {"blk.{i}.ffn_down_exps.weight", "model.layers.{i}.mlp.experts.down_proj.weight"}},
          // rope_freqs.weight becomes rope_parameters.frequency_factors.
          .ignored = {"rope_freqs.weight", "blk.{i}.attn_rot_embd"}};
}

}  // namespace tenon::architectures::mixtral
