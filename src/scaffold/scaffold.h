// `tenon new`: the folder of a new architecture, started from a built-in one.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "model/registry.h"
#include "scaffold/differences.h"

namespace tenon::scaffold {

struct Options {
  std::string name;    ///< the class, config.json's "architectures"[0]: "MyModelForCausalLM"
  std::string donor;   ///< class or family of a built-in; empty: the nearest by the config
  std::string config;  ///< path of config.json
  std::string output;  ///< the folder to make, whose name is the namespace; empty: by the config's model_type
};

struct Scaffold {
  std::string folder;
  std::string config;
  model::RegistryEntry donor;
  std::vector<Difference> differences;
};

/// Writes OUTPUT/{arch,model,model_config,weight_adapters}.cpp, NAME.h and tiny/config.json, for `tenon check`. Errors:
/// a name that is no class name or not the config's, an unknown donor, an output that exists, a config that is none.
/// `sources`: where the families' folders are; empty: beside the program.
Result<Scaffold> scaffold(const Options& options, std::string sources = {});

/// What was made, where the configs differ, and what to run next.
std::string to_text(const Scaffold& made);

}  // namespace tenon::scaffold
