#include "mpnet.h"

namespace tenon::architectures::mpnet {

using namespace model;

const Architecture& architecture() {
  const GgufSupport none;
  static const Architecture arch{
      .name = "MPNetForMaskedLM",
      .task = Task::kEmbedding,
      .example_repos = {"sentence-transformers/all-mpnet-base-v2", "sentence-transformers/multi-qa-mpnet-base-dot-v1"},
      .default_encoding = Encoding::kFloat32,
      .encodings = {Encoding::kFloat32, Encoding::kBFloat16},
      .modalities = {Modality::kText},
      .parse_config = parse_config,
      .make_model = make<MPNetForMaskedLM>,
      .adapters = {{Format::kSafetensors, from_safetensors}},
      .gguf = none,
      .also = {"MPNetModel"}};
  return arch;
}

}  // namespace tenon::architectures::mpnet
