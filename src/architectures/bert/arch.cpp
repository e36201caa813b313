#include "bert.h"

namespace tenon::architectures::bert {

using namespace model;

const Architecture& architecture() {
  const GgufSupport gguf{.architectures = {"bert"}, .config = config_from_gguf};
  static const Architecture arch{.name = "BertModel",
                                 .task = Task::kEmbedding,
                                 .example_repos = {"sentence-transformers/all-MiniLM-L6-v2", "BAAI/bge-small-en-v1.5"},
                                 .default_encoding = Encoding::kFloat32,
                                 .encodings = all_encodings(),
                                 .modalities = {Modality::kText},
                                 .parse_config = parse_config,
                                 .make_model = make<BertModel>,
                                 .adapters = {{Format::kSafetensors, from_safetensors}, {Format::kGguf, from_gguf}},
                                 .gguf = gguf,
                                 .also = {"BertForMaskedLM"}};
  return arch;
}

}  // namespace tenon::architectures::bert
