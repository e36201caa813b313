// The architectures that there are, by name.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "model/architecture.h"

namespace tenon::model {

struct RegistryEntry {
  std::string_view family;  ///< the folder: "llama"
  const Architecture* architecture = nullptr;
  std::string origin = {};  ///< the path of a plug-in; empty: built in
};

/// Every family of architectures/registry.def, in its order, and then the plug-ins; one that overrides a built-in
/// architecture has its place.
const std::vector<RegistryEntry>& registry();

/// Adds a plug-in, whose strings and data live as long as the process. It overrides the built-in architectures for the
/// classes that it runs (its name and `also`), which is logged; another plug-in for one of them is an error. Not to be
/// called beside the other functions here.
Status register_architecture(RegistryEntry entry);

/// The model class that a config.json is of, its "architectures"[0]; "" where it does not say.
std::string class_of(const Json& config);

/// By the exact name of config.json's "architectures"[0], or as one of `also`. An unknown one: the error lists the
/// known names, the built-in that `config` (may be null) resembles most, and the command that starts from it. `path`:
/// the config's, for that.
Result<RegistryEntry> find_architecture(std::string_view name, const Json& config,
                                        std::string_view path = "config.json");

/// The built-in architecture that the name and the config resemble most, among those of the task that the name says.
RegistryEntry nearest_architecture(std::string_view name, const Json& config);

/// By a GGUF file's general.architecture.
Result<RegistryEntry> find_gguf_architecture(std::string_view general_architecture);

}  // namespace tenon::model
