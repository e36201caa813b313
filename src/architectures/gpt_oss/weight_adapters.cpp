#include "gpt_oss.h"

namespace tenon::architectures::gpt_oss {

using model::Transform;
using model::WeightAdapter;
using Kind = Transform::Kind;

// Rows of gate and up alternate. As bfloat16 the matrices lie transposed, [experts, in, out]; as MXFP4 they do not.
WeightAdapter from_safetensors(const model::ModelConfig& config) {
  WeightAdapter adapter{
      .rules = {{"model.layers.{i}.mlp.experts.gate_up_proj", "model.layers.{i}.mlp.experts.gate_proj.weight",
                 Transform::of_experts(Kind::kTransposeAlternate, 0)},
                {"model.layers.{i}.mlp.experts.gate_up_proj", "model.layers.{i}.mlp.experts.up_proj.weight",
                 Transform::of_experts(Kind::kTransposeAlternate, 1)},
                {"model.layers.{i}.mlp.experts.gate_up_proj_blocks", "model.layers.{i}.mlp.experts.gate_proj.weight",
                 Transform::of_experts(Kind::kMxfp4Alternate, 0)},
                {"model.layers.{i}.mlp.experts.gate_up_proj_blocks", "model.layers.{i}.mlp.experts.up_proj.weight",
                 Transform::of_experts(Kind::kMxfp4Alternate, 1)},
                {"model.layers.{i}.mlp.experts.gate_up_proj_bias", "model.layers.{i}.mlp.experts.gate_proj.bias",
                 Transform::of_experts(Kind::kAlternateColumns, 0)},
                {"model.layers.{i}.mlp.experts.gate_up_proj_bias", "model.layers.{i}.mlp.experts.up_proj.bias",
                 Transform::of_experts(Kind::kAlternateColumns, 1)},
                {"model.layers.{i}.mlp.experts.down_proj", "model.layers.{i}.mlp.experts.down_proj.weight",
                 Transform::of_experts(Kind::kTranspose)},
                {"model.layers.{i}.mlp.experts.down_proj_blocks", "model.layers.{i}.mlp.experts.down_proj.weight",
                 Transform::of_experts(Kind::kMxfp4)},
                {"model.layers.{i}.mlp.experts.down_proj_bias", "model.layers.{i}.mlp.experts.down_proj.bias"},
                model::kSameNames},
      .ignored = {"model.layers.{i}.self_attn.rotary_emb.inv_freq"}};
  // transformers ties lm_head to the embedding, whatever the checkpoint holds beside it.
  if (static_cast<const Config&>(config).tie_word_embeddings) adapter.ignored.push_back("lm_head.weight");
  return adapter;
}

WeightAdapter from_gguf(const model::ModelConfig&) {
  // gate and up lie apart, MXFP4 in ggml's own order; the rows of q and k are as in the original.
  return {.rules = {{"token_embd.weight", "model.embed_tokens.weight"},
                    {"output_norm.weight", "model.norm.weight"},
                    {"output.weight", "lm_head.weight"},
                    {"blk.{i}.attn_norm.weight", "model.layers.{i}.input_layernorm.weight"},
                    {"blk.{i}.attn_q.*", "model.layers.{i}.self_attn.q_proj.*"},
                    {"blk.{i}.attn_k.*", "model.layers.{i}.self_attn.k_proj.*"},
                    {"blk.{i}.attn_v.*", "model.layers.{i}.self_attn.v_proj.*"},
                    {"blk.{i}.attn_output.*", "model.layers.{i}.self_attn.o_proj.*"},
                    {"blk.{i}.attn_sinks.weight", "model.layers.{i}.self_attn.sinks"},
                    {"blk.{i}.post_attention_norm.weight", "model.layers.{i}.post_attention_layernorm.weight"},
                    {"blk.{i}.ffn_gate_inp.*", "model.layers.{i}.mlp.router.*"},
                    {"blk.{i}.ffn_gate_exps.*", "model.layers.{i}.mlp.experts.gate_proj.*"},
                    {"blk.{i}.ffn_up_exps.*", "model.layers.{i}.mlp.experts.up_proj.*"},
                    {"blk.{i}.ffn_down_exps.*", "model.layers.{i}.mlp.experts.down_proj.*"}}};
}

}  // namespace tenon::architectures::gpt_oss
