// The architectures that there are, by name.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "model/architecture.h"

namespace tenon::model {

struct RegistryEntry {
  std::string_view family;  ///< the folder: "llama"
  const Architecture* architecture;
};

/// Every family of architectures/registry.def, in its order.
const std::vector<RegistryEntry>& registry();

/// By the exact name of config.json's "architectures"[0]. An unknown one: the error lists the known names and the
/// built-in that `config` (may be null) resembles most, to start from.
Result<RegistryEntry> find_architecture(std::string_view name, const Json& config);

/// By a GGUF file's general.architecture.
Result<RegistryEntry> find_gguf_architecture(std::string_view general_architecture);

}  // namespace tenon::model
