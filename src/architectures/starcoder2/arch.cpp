#include "starcoder2.h"

namespace tenon::architectures::starcoder2 {

using namespace model;

const Architecture& architecture() {
  static const Architecture arch{
      .name = "Starcoder2ForCausalLM",
      .task = Task::kTextGeneration,
      .example_repos = {"bigcode/starcoder2-3b", "bigcode/starcoder2-7b", "bigcode/starcoder2-15b"},
      .default_encoding = Encoding::kBFloat16,
      .encodings = all_encodings(),
      .modalities = {Modality::kText},
      .parse_config = parse_config,
      .make_model = make<Starcoder2ForCausalLM>,
      .adapters = {{Format::kSafetensors, from_safetensors}, {Format::kGguf, from_gguf}},
      .gguf = {.architectures = {"starcoder2"}, .config = config_from_gguf}};
  return arch;
}

}  // namespace tenon::architectures::starcoder2
