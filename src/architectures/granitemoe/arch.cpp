#include "granitemoe.h"

namespace tenon::architectures::granitemoe {

using namespace model;

const Architecture& architecture() {
  static const Architecture arch{
      .name = "GraniteMoeForCausalLM",
      .task = Task::kTextGeneration,
      .example_repos = {"ibm-granite/granite-3.1-1b-a400m-instruct", "ibm-granite/granite-3.1-3b-a800m-instruct"},
      .default_encoding = Encoding::kBFloat16,
      .encodings = all_encodings(),
      .modalities = {Modality::kText},
      .parse_config = parse_config,
      .make_model = make<GraniteMoeForCausalLM>,
      .adapters = {{Format::kSafetensors, from_safetensors}, {Format::kGguf, from_gguf}},
      .gguf = {.architectures = {"granitemoe"}, .config = config_from_gguf}};
  return arch;
}

}  // namespace tenon::architectures::granitemoe
