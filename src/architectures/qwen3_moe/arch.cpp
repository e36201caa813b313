#include "qwen3_moe.h"

namespace tenon::architectures::qwen3_moe {

using namespace model;

const Architecture& architecture() {
  static const Architecture arch{.name = "Qwen3MoeForCausalLM",
                                 .task = Task::kTextGeneration,
                                 .example_repos = {"Qwen/Qwen3-30B-A3B", "Qwen/Qwen3-235B-A22B"},
                                 .default_encoding = Encoding::kBFloat16,
                                 .encodings = all_encodings(),
                                 .modalities = {Modality::kText},
                                 .parse_config = parse_config,
                                 .make_model = make<Qwen3MoeForCausalLM>,
                                 .adapters = {{Format::kSafetensors, from_safetensors}, {Format::kGguf, from_gguf}},
                                 .gguf = {.architectures = {"qwen3moe"}, .config = config_from_gguf},
                                 .tool_parser = "hermes",
                                 .reasoning_parser = "qwen3"};
  return arch;
}

}  // namespace tenon::architectures::qwen3_moe
