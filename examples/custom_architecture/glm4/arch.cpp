#include "glm4.h"

namespace tenon::architectures::glm4 {

using namespace model;

const Architecture& architecture() {
  static const Architecture arch{.name = "Glm4ForCausalLM",
                                 .task = Task::kTextGeneration,
                                 .example_repos = {"zai-org/GLM-4-9B-0414"},
                                 .default_encoding = Encoding::kBFloat16,
                                 .encodings = {Encoding::kFloat32, Encoding::kBFloat16},
                                 .modalities = {Modality::kText},
                                 .parse_config = parse_config,
                                 .make_model = make<Glm4ForCausalLM>,
                                 .adapters = {{Format::kSafetensors, from_safetensors}}};
  return arch;
}

}  // namespace tenon::architectures::glm4
