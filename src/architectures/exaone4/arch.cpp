#include "exaone4.h"

namespace tenon::architectures::exaone4 {

using namespace model;

const Architecture& architecture() {
  static const Architecture arch{.name = "Exaone4ForCausalLM",
                                 .task = Task::kTextGeneration,
                                 .example_repos = {"LGAI-EXAONE/EXAONE-4.0-1.2B", "LGAI-EXAONE/EXAONE-4.0-32B"},
                                 .default_encoding = Encoding::kBFloat16,
                                 .encodings = all_encodings(),
                                 .modalities = {Modality::kText},
                                 .parse_config = parse_config,
                                 .make_model = make<Exaone4ForCausalLM>,
                                 .adapters = {{Format::kSafetensors, from_safetensors}, {Format::kGguf, from_gguf}},
                                 .gguf = {.architectures = {"exaone4"}, .config = config_from_gguf}};
  return arch;
}

}  // namespace tenon::architectures::exaone4
