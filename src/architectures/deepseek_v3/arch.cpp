#include "deepseek_v3.h"

namespace tenon::architectures::deepseek_v3 {

using namespace model;

const Architecture& architecture() {
  static const Architecture arch{.name = "DeepseekV3ForCausalLM",
                                 .task = Task::kTextGeneration,
                                 .example_repos = {"deepseek-ai/DeepSeek-V3", "deepseek-ai/DeepSeek-R1"},
                                 .default_encoding = Encoding::kBFloat16,
                                 .encodings = all_encodings(),
                                 .modalities = {Modality::kText},
                                 .parse_config = parse_config,
                                 .make_model = make<DeepseekV3ForCausalLM>,
                                 .adapters = {{Format::kSafetensors, from_safetensors}, {Format::kGguf, from_gguf}},
                                 .gguf = {.architectures = {"deepseek2"}, .config = config_from_gguf}};
  return arch;
}

}  // namespace tenon::architectures::deepseek_v3
