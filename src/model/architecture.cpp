#include "model/architecture.h"

#include <algorithm>

#include "base/json.h"
#include "model/thrown.h"

namespace tenon::model {

const char* name(Task task) {
  switch (task) {
    case Task::kTextGeneration:
      return "text-generation";
    case Task::kEmbedding:
      return "embedding";
  }
  return "";
}

const char* name(Modality modality) {
  switch (modality) {
    case Modality::kText:
      return "text";
  }
  return "";
}

const char* name(Encoding encoding) {
  switch (encoding) {
    case Encoding::kFloat32:
      return "float32";
    case Encoding::kBFloat16:
      return "bfloat16";
    case Encoding::kQ4_0:
      return "q4_0";
    case Encoding::kQ4_1:
      return "q4_1";
    case Encoding::kQ5_0:
      return "q5_0";
    case Encoding::kQ5_1:
      return "q5_1";
    case Encoding::kQ8_0:
      return "q8_0";
    case Encoding::kQ4_K:
      return "q4_k";
    case Encoding::kQ5_K:
      return "q5_k";
    case Encoding::kQ6_K:
      return "q6_k";
    case Encoding::kMXFP4:
      return "mxfp4";
    case Encoding::kFP8:
      return "fp8";
  }
  return "";
}

std::vector<Encoding> all_encodings() {
  return {Encoding::kFloat32, Encoding::kBFloat16, Encoding::kQ4_0, Encoding::kQ4_1, Encoding::kQ5_0,  Encoding::kQ5_1,
          Encoding::kQ8_0,    Encoding::kQ4_K,     Encoding::kQ5_K, Encoding::kQ6_K, Encoding::kMXFP4, Encoding::kFP8};
}

bool serves(const Architecture& architecture, std::string_view class_name) {
  return architecture.name == class_name || std::ranges::find(architecture.also, class_name) != architecture.also.end();
}

Result<std::shared_ptr<const ModelConfig>> parse_config(const Architecture& architecture, const Json& json) {
  ConfigReader reader(json, std::string(architecture.name));
  std::shared_ptr<ModelConfig> config;
  try {
    config = architecture.parse_config(reader);
  } catch (...) {
    return thrown_by(architecture);
  }
  if (!config) return invalid("parse_config of the architecture " + std::string(architecture.name) + " returned null");
  config->eos_token_ids = reader.token_ids("eos_token_id");
  config->bos_token_ids = reader.token_ids("bos_token_id");
  if (config->max_length_limit == 0) config->max_length_limit = config->max_position_embeddings;
  TENON_TRY(reader.finish(*config));
  return config;
}

Result<WeightAdapter> adapter_of(const Architecture& architecture, Format format, const ModelConfig& config) {
  for (const Adapter& adapter : architecture.adapters) {
    if (adapter.format != format) continue;
    try {
      return adapter.function(config);
    } catch (...) {
      return thrown_by(architecture);
    }
  }
  return unsupported(std::string(architecture.name) + " has no weight names for " +
                     (format == Format::kGguf ? "GGUF files: use its SafeTensors checkpoint"
                                              : "SafeTensors checkpoints: use a GGUF file"));
}

}  // namespace tenon::model
