#include "llama4.h"

namespace tenon::architectures::llama4 {

using namespace model;

const Architecture& architecture() {
  // By itself: within, g++ 12 sees members of vectors that are not yet made.
  static const GgufSupport gguf{.architectures = {"llama4"}, .config = config_from_gguf};
  static const Architecture arch{
      .name = "Llama4ForCausalLM",
      .task = Task::kTextGeneration,
      .example_repos = {"meta-llama/Llama-4-Scout-17B-16E-Instruct", "meta-llama/Llama-4-Maverick-17B-128E-Instruct"},
      .default_encoding = Encoding::kBFloat16,
      .encodings = all_encodings(),
      .modalities = {Modality::kText},
      .parse_config = parse_config,
      .make_model = make<Llama4ForCausalLM>,
      .adapters = {{Format::kSafetensors, from_safetensors}, {Format::kGguf, from_gguf}},
      .gguf = gguf,
      .also = {"Llama4ForConditionalGeneration"}};
  return arch;
}

}  // namespace tenon::architectures::llama4
