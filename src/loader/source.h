// Where a model's files are: what --model names.
#pragma once

#include <string>

#include "base/result.h"

namespace tenon::loader {

/// Exactly one of the two is set.
struct ModelSource {
  std::string directory;  ///< holds config.json
  std::string gguf;       ///< a GGUF file
};

/// A .gguf file, a directory, or a hub id, which is looked up in the cache or downloaded.

Result<ModelSource> find_model(const std::string& model, const std::string& revision);

/// "org/name", of the characters that the hub allows.
bool is_hub_id(const std::string& model);

}  // namespace tenon::loader
