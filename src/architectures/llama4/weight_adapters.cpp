#include "llama4.h"

namespace tenon::architectures::llama4 {

using model::Transform;
using model::WeightAdapter;
using Kind = Transform::Kind;

// The matrices of all experts lie transposed, gate beside up. In a checkpoint with images the text is language_model.
WeightAdapter from_safetensors(const model::ModelConfig& config) {
  WeightAdapter adapter{
      .rules =
          {{"model.layers.{i}.feed_forward.experts.gate_up_proj",
            "model.layers.{i}.feed_forward.experts.gate_proj.weight", Transform::of_experts(Kind::kTransposeHalf, 0)},
           {"model.layers.{i}.feed_forward.experts.gate_up_proj",
            "model.layers.{i}.feed_forward.experts.up_proj.weight", Transform::of_experts(Kind::kTransposeHalf, 1)},
           {"model.layers.{i}.feed_forward.experts.down_proj", "model.layers.{i}.feed_forward.experts.down_proj.weight",
            Transform::of_experts(Kind::kTranspose)},
           {"language_model.model.layers.{i}.feed_forward.experts.gate_up_proj",
            "model.layers.{i}.feed_forward.experts.gate_proj.weight", Transform::of_experts(Kind::kTransposeHalf, 0)},
           {"language_model.model.layers.{i}.feed_forward.experts.gate_up_proj",
            "model.layers.{i}.feed_forward.experts.up_proj.weight", Transform::of_experts(Kind::kTransposeHalf, 1)},
           {"language_model.model.layers.{i}.feed_forward.experts.down_proj",
            "model.layers.{i}.feed_forward.experts.down_proj.weight", Transform::of_experts(Kind::kTranspose)},
           {"language_model.*", "*"},
           model::kSameNames},
      .ignored = {"vision_model.*", "multi_modal_projector.*", "model.layers.{i}.self_attn.rotary_emb.inv_freq"}};
  // transformers ties lm_head to the embedding, whatever the checkpoint holds beside it.
  if (static_cast<const Config&>(config).tie_word_embeddings) {
    adapter.ignored.push_back("lm_head.weight");
    adapter.ignored.push_back("language_model.lm_head.weight");
  }
  return adapter;
}

// The rows of q and k are as in the original: llama.cpp rotates pairs for this architecture.
WeightAdapter from_gguf(const model::ModelConfig&) {
  return {.rules = {{"token_embd.weight", "model.embed_tokens.weight"},
                    {"output_norm.weight", "model.norm.weight"},
                    {"output.weight", "lm_head.weight"},
                    {"blk.{i}.attn_norm.weight", "model.layers.{i}.input_layernorm.weight"},
                    {"blk.{i}.attn_q.*", "model.layers.{i}.self_attn.q_proj.*"},
                    {"blk.{i}.attn_k.*", "model.layers.{i}.self_attn.k_proj.*"},
                    {"blk.{i}.attn_v.*", "model.layers.{i}.self_attn.v_proj.*"},
                    {"blk.{i}.attn_output.*", "model.layers.{i}.self_attn.o_proj.*"},
                    {"blk.{i}.ffn_norm.weight", "model.layers.{i}.post_attention_layernorm.weight"},
                    {"blk.{i}.ffn_gate.weight", "model.layers.{i}.feed_forward.gate_proj.weight"},
                    {"blk.{i}.ffn_up.weight", "model.layers.{i}.feed_forward.up_proj.weight"},
                    {"blk.{i}.ffn_down.weight", "model.layers.{i}.feed_forward.down_proj.weight"},
                    {"blk.{i}.ffn_gate_inp.weight", "model.layers.{i}.feed_forward.router.weight"},
                    {"blk.{i}.ffn_gate_exps.weight", "model.layers.{i}.feed_forward.experts.gate_proj.weight"},
                    {"blk.{i}.ffn_up_exps.weight", "model.layers.{i}.feed_forward.experts.up_proj.weight"},
                    {"blk.{i}.ffn_down_exps.weight", "model.layers.{i}.feed_forward.experts.down_proj.weight"},
                    {"blk.{i}.ffn_gate_shexp.weight", "model.layers.{i}.feed_forward.shared_expert.gate_proj.weight"},
                    {"blk.{i}.ffn_up_shexp.weight", "model.layers.{i}.feed_forward.shared_expert.up_proj.weight"},
                    {"blk.{i}.ffn_down_shexp.weight", "model.layers.{i}.feed_forward.shared_expert.down_proj.weight"}},
          // rope_freqs.weight becomes rope_parameters.frequency_factors.
          .ignored = {"rope_freqs.weight"}};
}

}  // namespace tenon::architectures::llama4
