// The contract of an architecture: what a folder under architectures/, or a user's own, declares. See DESIGN section 3.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "base/json_fwd.h"
#include "base/result.h"
#include "model/config_reader.h"
#include "model/model_config.h"
#include "model/pipeline_model.h"
#include "model/weight_adapter.h"
#include "weights/checkpoint.h"

namespace tenon::model {

using weights::Format;

enum class Modality : std::uint8_t { kText };

/// How matmul weights are stored in memory and multiplied.
enum class Encoding : std::uint8_t {
  kFloat32,
  kBFloat16,
  kQ4_0,
  kQ4_1,
  kQ5_0,
  kQ5_1,
  kQ8_0,
  kQ4_K,
  kQ5_K,
  kQ6_K,
  kMXFP4,
  kFP8,
};

const char* name(Task task);          ///< "text-generation"
const char* name(Modality modality);  ///< "text"
const char* name(Encoding encoding);  ///< "bfloat16", "q4_k", …: what --quantization-encoding takes

/// The encodings that every architecture made of nn::Linear has.
std::vector<Encoding> all_encodings();

/// Reads config.json by the reader; what is wrong is noted there (see ConfigReader), so the result is never null.
using ParseConfig = std::shared_ptr<ModelConfig> (*)(ConfigReader& config);
using MakeModel = std::unique_ptr<PipelineModel> (*)(std::shared_ptr<const ModelConfig> config);
/// The names of one file format, for a checkpoint of this config.
using AdapterFunction = WeightAdapter (*)(const ModelConfig& config);

struct Adapter {
  Format format;
  AdapterFunction function;
};

/// Of an architecture that generates text: whether it also builds hidden states (BuildContext::task).
struct EmbeddingSupport {
  bool supported = false;
  std::array<std::string_view, 2> unused = {};  ///< patterns of tensors, as in the files, that are then not used
};

/// How a GGUF file's metadata becomes a config.json, so that one parse_config serves both.
struct GgufSupport {
  std::vector<std::string_view> architectures = {};  ///< values of general.architecture: "llama"
  Result<Json> (*config)(const weights::Checkpoint& checkpoint) = nullptr;
};

/// Data, no logic. Everything without a default here must be given.
struct Architecture {
  std::string_view name;  ///< exactly config.json's "architectures"[0]
  Task task = Task::kTextGeneration;
  std::vector<std::string_view> example_repos = {};
  Encoding default_encoding = Encoding::kBFloat16;  ///< of a float checkpoint
  std::vector<Encoding> encodings = all_encodings();
  std::vector<Modality> modalities = {Modality::kText};
  ParseConfig parse_config;
  MakeModel make_model;
  std::vector<Adapter> adapters;
  GgufSupport gguf = {};                   ///< empty: no GGUF
  std::string_view tool_parser = "";       ///< optional
  std::string_view reasoning_parser = "";  ///< optional
  /// Other classes whose checkpoints this one runs: of a model of images and text the text. Not listed.
  std::vector<std::string_view> also = {};
  EmbeddingSupport embedding = {};  ///< optional; of no meaning where `task` is kEmbedding
};

/// Whether checkpoints of this class run by `architecture`: its name, or one of `also`.
bool serves(const Architecture& architecture, std::string_view class_name);

/// make<MyModel>: MyModel has a type Config, derived from ModelConfig, and a constructor that takes
/// std::shared_ptr<const Config>.
template <class Model>
std::unique_ptr<PipelineModel> make(std::shared_ptr<const ModelConfig> config) {
  auto own = std::dynamic_pointer_cast<const typename Model::Config>(std::move(config));
  TENON_CHECK(own, "parse_config and make_model of an architecture disagree on the type of its config");
  return std::make_unique<Model>(std::move(own));
}

/// Parses `json` (a config.json) strictly for `architecture`.
Result<std::shared_ptr<const ModelConfig>> parse_config(const Architecture& architecture, const Json& json);

/// The adapter of a format; an error that names the formats which there are.
Result<WeightAdapter> adapter_of(const Architecture& architecture, Format format, const ModelConfig& config);

}  // namespace tenon::model
