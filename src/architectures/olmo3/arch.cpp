#include "olmo3.h"

namespace tenon::architectures::olmo3 {

using namespace model;

const Architecture& architecture() {
  static const Architecture arch{.name = "Olmo3ForCausalLM",
                                 .task = Task::kTextGeneration,
                                 .example_repos = {"allenai/Olmo-3-7B-Instruct", "allenai/Olmo-3-1025-7B"},
                                 .default_encoding = Encoding::kBFloat16,
                                 .encodings = all_encodings(),
                                 .modalities = {Modality::kText},
                                 .parse_config = parse_config,
                                 .make_model = make<Olmo3ForCausalLM>,
                                 .adapters = {{Format::kSafetensors, from_safetensors}, {Format::kGguf, from_gguf}},
                                 .gguf = {.architectures = {"olmo2"}, .config = config_from_gguf}};
  return arch;
}

}  // namespace tenon::architectures::olmo3
