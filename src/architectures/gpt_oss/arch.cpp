#include "gpt_oss.h"

namespace tenon::architectures::gpt_oss {

using namespace model;

const Architecture& architecture() {
  static const Architecture arch{.name = "GptOssForCausalLM",
                                 .task = Task::kTextGeneration,
                                 .example_repos = {"openai/gpt-oss-20b", "openai/gpt-oss-120b"},
                                 .default_encoding = Encoding::kBFloat16,
                                 .encodings = all_encodings(),
                                 .modalities = {Modality::kText},
                                 .parse_config = parse_config,
                                 .make_model = make<GptOssForCausalLM>,
                                 .adapters = {{Format::kSafetensors, from_safetensors}, {Format::kGguf, from_gguf}},
                                 .gguf = {.architectures = {"gpt-oss"}, .config = config_from_gguf}};
  return arch;
}

}  // namespace tenon::architectures::gpt_oss
