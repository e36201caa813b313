#include "smollm3.h"

namespace tenon::architectures::smollm3 {

using namespace model;

const Architecture& architecture() {
  static const Architecture arch{.name = "SmolLM3ForCausalLM",
                                 .task = Task::kTextGeneration,
                                 .example_repos = {"HuggingFaceTB/SmolLM3-3B"},
                                 .default_encoding = Encoding::kBFloat16,
                                 .encodings = all_encodings(),
                                 .modalities = {Modality::kText},
                                 .parse_config = parse_config,
                                 .make_model = make<SmolLM3ForCausalLM>,
                                 .adapters = {{Format::kSafetensors, from_safetensors}, {Format::kGguf, from_gguf}},
                                 .gguf = {.architectures = {"smollm3"}, .config = config_from_gguf},
                                 .tool_parser = "hermes"};
  return arch;
}

}  // namespace tenon::architectures::smollm3
