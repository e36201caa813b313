#include "bert.h"

namespace tenon::architectures::bert {

model::WeightAdapter from_safetensors(const model::ModelConfig&) {
  // Old checkpoints hold the positions 0, 1, … as a tensor. The pooler, a layer over the first token's state, takes no
  // part in what sentence-transformers pools; a checkpoint of a whole BertForMaskedLM prefixes its names with "bert.".
  return {.rules = {{"bert.*", "*"}, model::kSameNames},
          .ignored = {"embeddings.position_ids", "bert.embeddings.position_ids", "pooler.*", "bert.pooler.*", "cls.*"}};
}

}  // namespace tenon::architectures::bert
