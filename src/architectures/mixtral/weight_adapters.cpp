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

}  // namespace tenon::architectures::mixtral
