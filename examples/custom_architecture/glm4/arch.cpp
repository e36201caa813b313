#include "glm4.h"

namespace tenon::architectures::glm4 {

using namespace model;

const Architecture& architecture() {
  static const Architecture arch{.name = "Glm4ForCausalLM",
                                 .task = Task::kTextGeneration,
                                 .example_repos = {"zai-org/GLM-4-9B-0414"},
                                 .default_encoding = Encoding::kBFloat16,
                                 .encodings = all_encodings(),
                                 .modalities = {Modality::kText},
                                 .parse_config = parse_config,
                                 .make_model = make<Glm4ForCausalLM>,
                                 .adapters = {{Format::kSafetensors, from_safetensors}, {Format::kGguf, from_gguf}},
                                 .gguf = {.architectures = {"glm4"}, .config = config_from_gguf}};
  return arch;
}

}  // namespace tenon::architectures::glm4
