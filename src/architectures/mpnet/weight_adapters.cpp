#include "mpnet.h"

namespace tenon::architectures::mpnet {

model::WeightAdapter from_safetensors(const model::ModelConfig&) {
  // Old checkpoints hold the positions 0, 1, … as a tensor. Neither the pooler, a layer over the first token's state,
  // nor the language-modelling head takes part in what sentence-transformers pools; a checkpoint of a whole
  // MPNetForMaskedLM prefixes its names with "mpnet.".
  return {.rules = {{"mpnet.*", "*"}, model::kSameNames},
          .ignored = {"embeddings.position_ids", "mpnet.embeddings.position_ids", "pooler.*", "mpnet.pooler.*",
                      "lm_head.*"}};
}

}  // namespace tenon::architectures::mpnet
