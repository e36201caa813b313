#include "olmo2.h"

namespace tenon::architectures::olmo2 {

using namespace model;

const Architecture& architecture() {
  static const Architecture arch{
      .name = "Olmo2ForCausalLM",
      .task = Task::kTextGeneration,
      .example_repos = {"allenai/OLMo-2-0425-1B-Instruct", "allenai/OLMo-2-1124-7B-Instruct"},
      .default_encoding = Encoding::kBFloat16,
      .encodings = all_encodings(),
      .modalities = {Modality::kText},
      .parse_config = parse_config,
      .make_model = make<Olmo2ForCausalLM>,
      // GGUF files of OLMo 2 say "olmo2" as those of OLMo 3 do: the olmo3 folder, whose equations contain these, reads
      // both.
      .adapters = {{Format::kSafetensors, from_safetensors}}};
  return arch;
}

}  // namespace tenon::architectures::olmo2
