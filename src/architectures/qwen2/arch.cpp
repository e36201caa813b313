#include "qwen2.h"

namespace tenon::architectures::qwen2 {

using namespace model;

const Architecture& architecture() {
  static const Architecture arch{
      .name = "Qwen2ForCausalLM",
      .task = Task::kTextGeneration,
      .example_repos = {"Qwen/Qwen2.5-0.5B-Instruct", "Qwen/Qwen2.5-1.5B-Instruct", "Qwen/Qwen2.5-7B-Instruct"},
      .default_encoding = Encoding::kBFloat16,
      .encodings = all_encodings(),
      .modalities = {Modality::kText},
      .parse_config = parse_config,
      .make_model = make<Qwen2ForCausalLM>,
      .adapters = {{Format::kSafetensors, from_safetensors}, {Format::kGguf, from_gguf}},
      .gguf = {.architectures = {"qwen2"}, .config = config_from_gguf},
      .tool_parser = "hermes"};
  return arch;
}

}  // namespace tenon::architectures::qwen2
