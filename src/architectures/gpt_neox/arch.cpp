#include "gpt_neox.h"

namespace tenon::architectures::gpt_neox {

using namespace model;

const Architecture& architecture() {
  static const Architecture arch{
      .name = "GPTNeoXForCausalLM",
      .task = Task::kTextGeneration,
      .example_repos = {"EleutherAI/pythia-160m", "EleutherAI/pythia-1.4b", "EleutherAI/gpt-neox-20b"},
      .default_encoding = Encoding::kBFloat16,
      .encodings = all_encodings(),
      .modalities = {Modality::kText},
      .parse_config = parse_config,
      .make_model = make<GPTNeoXForCausalLM>,
      .adapters = {{Format::kSafetensors, from_safetensors}, {Format::kGguf, from_gguf}},
      .gguf = {.architectures = {"gptneox"}, .config = config_from_gguf}};
  return arch;
}

}  // namespace tenon::architectures::gpt_neox
