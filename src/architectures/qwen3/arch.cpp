#include "qwen3.h"

namespace tenon::architectures::qwen3 {

using namespace model;

const Architecture& architecture() {
  static const Architecture arch{
      .name = "Qwen3ForCausalLM",
      .task = Task::kTextGeneration,
      .example_repos = {"Qwen/Qwen3-0.6B", "Qwen/Qwen3-1.7B", "Qwen/Qwen3-8B", "Qwen/Qwen3-Embedding-0.6B"},
      .default_encoding = Encoding::kBFloat16,
      .encodings = all_encodings(),
      .modalities = {Modality::kText},
      .parse_config = parse_config,
      .make_model = make<Qwen3ForCausalLM>,
      .adapters = {{Format::kSafetensors, from_safetensors}, {Format::kGguf, from_gguf}},
      .gguf = {.architectures = {"qwen3"}, .config = config_from_gguf},
      .tool_parser = "hermes",
      .reasoning_parser = "qwen3",
      .embedding = {.supported = true, .unused = {"lm_head.weight", "output.weight"}}};
  return arch;
}

}  // namespace tenon::architectures::qwen3
