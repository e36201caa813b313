#include "mixtral.h"

namespace tenon::architectures::mixtral {

using namespace model;

const Architecture& architecture() {
  static const Architecture arch{.name = "MixtralForCausalLM",
                                 .task = Task::kTextGeneration,
                                 .example_repos = {"mistralai/Mixtral-8x7B-v0.1", "mistralai/Mixtral-8x22B-v0.1"},
                                 .default_encoding = Encoding::kBFloat16,
                                 .encodings = all_encodings(),
                                 .modalities = {Modality::kText},
                                 .parse_config = parse_config,
                                 .make_model = make<MixtralForCausalLM>,
                                 .adapters = {{Format::kSafetensors, from_safetensors}, {Format::kGguf, from_gguf}},
                                 .gguf = {.architectures = {"llama"}, .config = config_from_gguf}};
  return arch;
}

}  // namespace tenon::architectures::mixtral
