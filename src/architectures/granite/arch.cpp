#include "granite.h"

namespace tenon::architectures::granite {

using namespace model;

const Architecture& architecture() {
  static const Architecture arch{
      .name = "GraniteForCausalLM",
      .task = Task::kTextGeneration,
      .example_repos = {"ibm-granite/granite-3.3-2b-instruct", "ibm-granite/granite-3.3-8b-instruct"},
      .default_encoding = Encoding::kBFloat16,
      .encodings = all_encodings(),
      .modalities = {Modality::kText},
      .parse_config = parse_config,
      .make_model = make<GraniteForCausalLM>,
      .adapters = {{Format::kSafetensors, from_safetensors}, {Format::kGguf, from_gguf}},
      .gguf = {.architectures = {"granite"}, .config = config_from_gguf}};
  return arch;
}

}  // namespace tenon::architectures::granite
