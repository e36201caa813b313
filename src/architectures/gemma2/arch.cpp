#include "gemma2.h"

namespace tenon::architectures::gemma2 {

using namespace model;

const Architecture& architecture() {
  static const Architecture arch{.name = "Gemma2ForCausalLM",
                                 .task = Task::kTextGeneration,
                                 .example_repos = {"google/gemma-2-2b-it", "google/gemma-2-9b-it"},
                                 .default_encoding = Encoding::kBFloat16,
                                 .encodings = all_encodings(),
                                 .modalities = {Modality::kText},
                                 .parse_config = parse_config,
                                 .make_model = make<Gemma2ForCausalLM>,
                                 .adapters = {{Format::kSafetensors, from_safetensors}, {Format::kGguf, from_gguf}},
                                 .gguf = {.architectures = {"gemma2"}, .config = config_from_gguf}};
  return arch;
}

}  // namespace tenon::architectures::gemma2
