#include "bert.h"

namespace tenon::architectures::bert {

using namespace model;

const Architecture& architecture() {
  static const Architecture arch{.name = "BertModel",
                                 .task = Task::kEmbedding,
                                 .example_repos = {"sentence-transformers/all-MiniLM-L6-v2", "BAAI/bge-small-en-v1.5"},
                                 .default_encoding = Encoding::kFloat32,
                                 .encodings = {Encoding::kFloat32, Encoding::kBFloat16},
                                 .modalities = {Modality::kText},
                                 .parse_config = parse_config,
                                 .make_model = make<BertModel>,
                                 .adapters = {{Format::kSafetensors, from_safetensors}}};
  return arch;
}

}  // namespace tenon::architectures::bert
