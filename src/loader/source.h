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

/// A .gguf file, a directory, or a hub id ("org/name", "org/name/file.gguf"), which is looked up in the cache or
/// downloaded with its progress on standard error.
Result<ModelSource> find_model(const std::string& model, const std::string& revision);

}  // namespace tenon::loader
