#include "cohere.h"

namespace tenon::architectures::cohere {

using namespace model;

const Architecture& architecture() {
  static const Architecture arch{.name = "CohereForCausalLM",
                                 .task = Task::kTextGeneration,
                                 .example_repos = {"CohereLabs/c4ai-command-r-v01", "CohereLabs/c4ai-command-r-08-2024",
                                                   "CohereLabs/c4ai-command-r-plus", "CohereLabs/aya-expanse-8b"},
                                 .default_encoding = Encoding::kBFloat16,
                                 .encodings = all_encodings(),
                                 .modalities = {Modality::kText},
                                 .parse_config = parse_config,
                                 .make_model = make<CohereForCausalLM>,
                                 .adapters = {{Format::kSafetensors, from_safetensors}, {Format::kGguf, from_gguf}},
                                 .gguf = {.architectures = {"command-r"}, .config = config_from_gguf}};
  return arch;
}

}  // namespace tenon::architectures::cohere
