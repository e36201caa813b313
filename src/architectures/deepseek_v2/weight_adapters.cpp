#include "deepseek_v2.h"

namespace tenon::architectures::deepseek_v2 {

using model::Transform;
using model::WeightAdapter;

// kv_b_proj has the rows of each head's keys, then of its values: attention takes the first transposed.
WeightAdapter from_safetensors(const model::ModelConfig& config) {
  const Config& c = static_cast<const Config&>(config);
  const int rows = c.attention.qk_nope_head_dim + c.attention.v_head_dim;
  // transformers 5 holds all experts in one tensor, gate and up one above the other, and may write them so.
  WeightAdapter adapter{
      .rules = {{"model.layers.{i}.self_attn.kv_b_proj.weight", "model.layers.{i}.self_attn.k_b_proj.weight",
                 Transform::head_rows_transposed(rows, 0, c.attention.qk_nope_head_dim)},
                {"model.layers.{i}.self_attn.kv_b_proj.weight", "model.layers.{i}.self_attn.v_b_proj.weight",
                 Transform::head_rows(rows, c.attention.qk_nope_head_dim, c.attention.v_head_dim)},
                {"model.layers.{i}.mlp.experts.{e}.gate_proj.weight",
                 "model.layers.{i}.mlp.experts.gate_proj.weight[{e}]"},
                {"model.layers.{i}.mlp.experts.{e}.up_proj.weight", "model.layers.{i}.mlp.experts.up_proj.weight[{e}]"},
                {"model.layers.{i}.mlp.experts.{e}.down_proj.weight",
                 "model.layers.{i}.mlp.experts.down_proj.weight[{e}]"},
                {"model.layers.{i}.mlp.experts.gate_up_proj", "model.layers.{i}.mlp.experts.gate_proj.weight",
                 Transform::half(0)},
                {"model.layers.{i}.mlp.experts.gate_up_proj", "model.layers.{i}.mlp.experts.up_proj.weight",
                 Transform::half(1)},
                {"model.layers.{i}.mlp.experts.down_proj", "model.layers.{i}.mlp.experts.down_proj.weight"},
                model::kSameNames},
      .ignored = {"model.layers.{i}.self_attn.rotary_emb.inv_freq"}};
  // transformers ties lm_head to the embedding, whatever the checkpoint holds beside it.
  if (c.tie_word_embeddings) adapter.ignored.push_back("lm_head.weight");
  return adapter;
}

WeightAdapter from_gguf(const model::ModelConfig& config) {
  const Config& c = static_cast<const Config&>(config);
  const int rows = c.attention.qk_nope_head_dim + c.attention.v_head_dim;
  // Older files hold kv_b_proj whole; the others its two parts, the first transposed already.
  return {.rules = {{"token_embd.weight", "model.embed_tokens.weight"},
                    {"output_norm.weight", "model.norm.weight"},
                    {"output.weight", "lm_head.weight"},
                    {"blk.{i}.attn_norm.weight", "model.layers.{i}.input_layernorm.weight"},
                    {"blk.{i}.attn_q.weight", "model.layers.{i}.self_attn.q_proj.weight"},
                    {"blk.{i}.attn_q_a.*", "model.layers.{i}.self_attn.q_a_proj.*"},
                    {"blk.{i}.attn_q_a_norm.weight", "model.layers.{i}.self_attn.q_a_layernorm.weight"},
                    {"blk.{i}.attn_q_b.weight", "model.layers.{i}.self_attn.q_b_proj.weight"},
                    {"blk.{i}.attn_kv_a_mqa.*", "model.layers.{i}.self_attn.kv_a_proj_with_mqa.*"},
                    {"blk.{i}.attn_kv_a_norm.weight", "model.layers.{i}.self_attn.kv_a_layernorm.weight"},
                    {"blk.{i}.attn_k_b.weight", "model.layers.{i}.self_attn.k_b_proj.weight"},
                    {"blk.{i}.attn_v_b.weight", "model.layers.{i}.self_attn.v_b_proj.weight"},
                    {"blk.{i}.attn_kv_b.weight", "model.layers.{i}.self_attn.k_b_proj.weight",
                     Transform::head_rows_transposed(rows, 0, c.attention.qk_nope_head_dim)},
                    {"blk.{i}.attn_kv_b.weight", "model.layers.{i}.self_attn.v_b_proj.weight",
                     Transform::head_rows(rows, c.attention.qk_nope_head_dim, c.attention.v_head_dim)},
                    {"blk.{i}.attn_output.*", "model.layers.{i}.self_attn.o_proj.*"},
                    {"blk.{i}.ffn_norm.weight", "model.layers.{i}.post_attention_layernorm.weight"},
                    {"blk.{i}.ffn_gate.*", "model.layers.{i}.mlp.gate_proj.*"},
                    {"blk.{i}.ffn_up.*", "model.layers.{i}.mlp.up_proj.*"},
                    {"blk.{i}.ffn_down.*", "model.layers.{i}.mlp.down_proj.*"},
                    {"blk.{i}.ffn_gate_inp.weight", "model.layers.{i}.mlp.gate.weight"},
                    {"blk.{i}.ffn_gate_exps.weight", "model.layers.{i}.mlp.experts.gate_proj.weight"},
                    {"blk.{i}.ffn_up_exps.weight", "model.layers.{i}.mlp.experts.up_proj.weight"},
                    {"blk.{i}.ffn_down_exps.weight", "model.layers.{i}.mlp.experts.down_proj.weight"},
                    {"blk.{i}.ffn_gate_shexp.*", "model.layers.{i}.mlp.shared_experts.gate_proj.*"},
                    {"blk.{i}.ffn_up_shexp.*", "model.layers.{i}.mlp.shared_experts.up_proj.*"},
                    {"blk.{i}.ffn_down_shexp.*", "model.layers.{i}.mlp.shared_experts.down_proj.*"}},
          .ignored = {"rope_freqs.weight"}};
}

}  // namespace tenon::architectures::deepseek_v2
