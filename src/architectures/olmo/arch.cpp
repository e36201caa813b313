#include "olmo.h"

namespace tenon::architectures::olmo {

using namespace model;

const Architecture& architecture() {
  static const Architecture arch{.name = "OlmoForCausalLM",
                                 .task = Task::kTextGeneration,
                                 .example_repos = {"allenai/OLMo-1B-0724-hf", "allenai/OLMo-7B-0724-Instruct-hf"},
                                 .default_encoding = Encoding::kBFloat16,
                                 .encodings = all_encodings(),
                                 .modalities = {Modality::kText},
                                 .parse_config = parse_config,
                                 .make_model = make<OlmoForCausalLM>,
                                 .adapters = {{Format::kSafetensors, from_safetensors}, {Format::kGguf, from_gguf}},
                                 .gguf = {.architectures = {"olmo"}, .config = config_from_gguf}};
  return arch;
}

}  // namespace tenon::architectures::olmo
