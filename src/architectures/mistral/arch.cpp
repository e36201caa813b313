#include "mistral.h"

namespace tenon::architectures::mistral {

using namespace model;

const Architecture& architecture() {
  static const Architecture arch{
      .name = "MistralForCausalLM",
      .task = Task::kTextGeneration,
      .example_repos = {"mistralai/Mistral-7B-Instruct-v0.3", "mistralai/Mistral-Nemo-Instruct-2407"},
      .default_encoding = Encoding::kBFloat16,
      .encodings = all_encodings(),
      .modalities = {Modality::kText},
      .parse_config = parse_config,
      .make_model = make<MistralForCausalLM>,
      .adapters = {{Format::kSafetensors, from_safetensors}}};
  return arch;
}

}  // namespace tenon::architectures::mistral
