#include "deepseek_v2.h"

namespace tenon::architectures::deepseek_v2 {

using namespace model;

const Architecture& architecture() {
  static const Architecture arch{.name = "DeepseekV2ForCausalLM",
                                 .task = Task::kTextGeneration,
                                 .example_repos = {"deepseek-ai/DeepSeek-V2-Lite", "deepseek-ai/DeepSeek-V2-Lite-Chat"},
                                 .default_encoding = Encoding::kBFloat16,
                                 .encodings = all_encodings(),
                                 .modalities = {Modality::kText},
                                 .parse_config = parse_config,
                                 .make_model = make<DeepseekV2ForCausalLM>,
                                 .adapters = {{Format::kSafetensors, from_safetensors}, {Format::kGguf, from_gguf}},
                                 .gguf = {.architectures = {"deepseek2"}, .config = config_from_gguf}};
  return arch;
}

}  // namespace tenon::architectures::deepseek_v2
