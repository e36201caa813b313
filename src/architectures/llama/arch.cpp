#include "llama.h"

namespace tenon::architectures::llama {

using namespace model;

const Architecture& architecture() {
  static const Architecture arch{
      .name = "LlamaForCausalLM",
      .task = Task::kTextGeneration,
      .example_repos = {"HuggingFaceTB/SmolLM2-135M-Instruct", "meta-llama/Llama-3.2-1B-Instruct",
                        "meta-llama/Llama-3.1-8B-Instruct"},
      .default_encoding = Encoding::kBFloat16,
      .encodings = all_encodings(),
      .modalities = {Modality::kText},
      .parse_config = parse_config,
      .make_model = make<LlamaForCausalLM>,
      .adapters = {{Format::kSafetensors, from_safetensors}, {Format::kGguf, from_gguf}},
      .gguf = {.architectures = {"llama"}, .config = config_from_gguf}};
  return arch;
}

}  // namespace tenon::architectures::llama
