#include "qwen3_moe.h"

namespace tenon::architectures::qwen3_moe {

using model::Transform;
using model::WeightAdapter;

WeightAdapter from_safetensors(const model::ModelConfig& config) {
  // transformers 5 holds all experts in one tensor, gate and up one above the other, and may write them so.
  WeightAdapter adapter{
      .rules = {{"model.layers.{i}.mlp.experts.{e}.gate_proj.weight",
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
  if (static_cast<const Config&>(config).tie_word_embeddings) adapter.ignored.push_back("lm_head.weight");
  return adapter;
}

WeightAdapter from_gguf(const model::ModelConfig&) {
  // The rows of q and k are as in the original: llama.cpp rotates halves for this architecture.
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
                    {"blk.{i}.ffn_gate.weight", "model.layers.{i}.mlp.gate_proj.weight"},  // of layers without experts
                    {"blk.{i}.ffn_up.weight", "model.layers.{i}.mlp.up_proj.weight"},
                    {"blk.{i}.ffn_down.weight", "model.layers.{i}.mlp.down_proj.weight"},
                    {"blk.{i}.ffn_gate_inp.weight", "model.layers.{i}.mlp.gate.weight"},
                    {"blk.{i}.ffn_gate_exps.weight", "model.layers.{i}.mlp.experts.gate_proj.weight"},
                    {"blk.{i}.ffn_up_exps.weight", "model.layers.{i}.mlp.experts.up_proj.weight"},
                    {"blk.{i}.ffn_down_exps.weight", "model.layers.{i}.mlp.experts.down_proj.weight"}},
          .ignored = {"rope_freqs.weight"}};
}

}  // namespace tenon::architectures::qwen3_moe
