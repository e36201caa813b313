#include "bert.h"

namespace tenon::architectures::bert {

model::WeightAdapter from_safetensors(const model::ModelConfig&) {
  // Old checkpoints hold the positions 0, 1, … as a tensor. The pooler, a layer over the first token's state, takes no
  // part in what sentence-transformers pools; a checkpoint of the whole masked language model prefixes its names with
  // "bert.".
  return {.rules = {{"bert.*", "*"}, model::kSameNames},
          .ignored = {"embeddings.position_ids", "bert.embeddings.position_ids", "pooler.*", "bert.pooler.*", "cls.*"}};
}

model::WeightAdapter from_gguf(const model::ModelConfig&) {
  return {.rules = {{"token_embd.weight", "embeddings.word_embeddings.weight"},
                    {"position_embd.weight", "embeddings.position_embeddings.weight"},
                    {"token_types.weight", "embeddings.token_type_embeddings.weight"},
                    {"token_embd_norm.*", "embeddings.LayerNorm.*"},
                    {"blk.{i}.attn_q.*", "encoder.layer.{i}.attention.self.query.*"},
                    {"blk.{i}.attn_k.*", "encoder.layer.{i}.attention.self.key.*"},
                    {"blk.{i}.attn_v.*", "encoder.layer.{i}.attention.self.value.*"},
                    {"blk.{i}.attn_output.*", "encoder.layer.{i}.attention.output.dense.*"},
                    {"blk.{i}.attn_output_norm.*", "encoder.layer.{i}.attention.output.LayerNorm.*"},
                    {"blk.{i}.ffn_up.*", "encoder.layer.{i}.intermediate.dense.*"},
                    {"blk.{i}.ffn_down.*", "encoder.layer.{i}.output.dense.*"},
                    {"blk.{i}.layer_output_norm.*", "encoder.layer.{i}.output.LayerNorm.*"}}};
}

}  // namespace tenon::architectures::bert
