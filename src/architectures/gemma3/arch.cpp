#include "gemma3.h"

namespace tenon::architectures::gemma3 {

using namespace model;

const Architecture& architecture() {
  static const Architecture arch{.name = "Gemma3ForCausalLM",
                                 .task = Task::kTextGeneration,
                                 .example_repos = {"google/gemma-3-270m-it", "google/gemma-3-1b-it"},
                                 .default_encoding = Encoding::kBFloat16,
                                 .encodings = all_encodings(),
                                 .modalities = {Modality::kText},
                                 .parse_config = parse_config,
                                 .make_model = make<Gemma3ForCausalLM>,
                                 .adapters = {{Format::kSafetensors, from_safetensors}, {Format::kGguf, from_gguf}},
                                 .gguf = {.architectures = {"gemma3"}, .config = config_from_gguf}};
  return arch;
}

}  // namespace tenon::architectures::gemma3
