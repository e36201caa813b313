// What the engine and the loader need of every model's configuration. An architecture derives its own Config from it.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "base/json_fwd.h"

namespace tenon::model {

/// One field as it was understood.
struct ConfigField {
  std::string name;                   ///< with its path: "rope_scaling.factor"
  std::shared_ptr<const Json> value;  ///< never null
  bool defaulted = false;             ///< not in the file: the default of transformers
};

struct ModelConfig {
  virtual ~ModelConfig() = default;

  int vocab_size = 0;
  int hidden_size = 0;
  int num_hidden_layers = 0;
  int max_position_embeddings = 0;  ///< the default context
  int max_length_limit = 0;         ///< the longest context that may be asked for; 0: max_position_embeddings

  // Filled in by model::parse_config.
  std::vector<std::int32_t> bos_token_ids, eos_token_ids;
  std::vector<ConfigField> fields;
  std::vector<std::string> notes;  ///< what a user should know: a field that has no effect, …
};

}  // namespace tenon::model
