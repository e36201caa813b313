#include "lfm2.h"

namespace tenon::architectures::lfm2 {

using namespace model;

const Architecture& architecture() {
  static const Architecture arch{.name = "Lfm2ForCausalLM",
                                 .task = Task::kTextGeneration,
                                 .example_repos = {"LiquidAI/LFM2-350M", "LiquidAI/LFM2-700M", "LiquidAI/LFM2-1.2B"},
                                 .default_encoding = Encoding::kBFloat16,
                                 .encodings = all_encodings(),
                                 .modalities = {Modality::kText},
                                 .parse_config = parse_config,
                                 .make_model = make<Lfm2ForCausalLM>,
                                 .adapters = {{Format::kSafetensors, from_safetensors}, {Format::kGguf, from_gguf}},
                                 .gguf = {.architectures = {"lfm2"}, .config = config_from_gguf}};
  return arch;
}

}  // namespace tenon::architectures::lfm2
