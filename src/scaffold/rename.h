// A family's source files as those of another architecture.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "base/result.h"

namespace tenon::scaffold {

/// What an architecture is called.
struct Names {
  std::string class_name;  ///< "LlamaForCausalLM"
  std::string family;      ///< folder and namespace: "llama"
  std::string model_type;  ///< folder of transformers/models: "llama"
};

/// The files of DIRECTORY/FAMILY, by name, each with its text renamed `from` → `to`. The repositories, the GGUF
/// name and `also` of the donor are not taken over, and TODO marks say where to look; `differences` (lines) stand above
/// parse_config.
Result<std::map<std::string, std::string>> renamed_sources(const std::string& directory, const Names& from,
                                                           const Names& to,
                                                           const std::vector<std::string>& differences);

}  // namespace tenon::scaffold
