#include "phi3.h"

namespace tenon::architectures::phi3 {

using namespace model;

const Architecture& architecture() {
  static const Architecture arch{
      .name = "Phi3ForCausalLM",
      .task = Task::kTextGeneration,
      .example_repos = {"microsoft/Phi-3-mini-4k-instruct", "microsoft/Phi-3.5-mini-instruct", "microsoft/phi-4"},
      .default_encoding = Encoding::kBFloat16,
      .encodings = all_encodings(),
      .modalities = {Modality::kText},
      .parse_config = parse_config,
      .make_model = make<Phi3ForCausalLM>,
      .adapters = {{Format::kSafetensors, from_safetensors}, {Format::kGguf, from_gguf}},
      .gguf = {.architectures = {"phi3"}, .config = config_from_gguf}};
  return arch;
}

}  // namespace tenon::architectures::phi3
