#include "loader/prepare.h"

#include <algorithm>
#include <filesystem>

#include "base/log.h"
#include "graph/ops/registry.h"
#include "loader/sentence_files.h"
#include "loader/source.h"
#include "loader/text_assets.h"
#include "model/build_model.h"
#include "model/plugin/trial.h"
#include "model/thrown.h"

namespace tenon::loader {
namespace {

namespace fs = std::filesystem;

struct Description {
  Json config;
  model::RegistryEntry entry;
  std::shared_ptr<const weights::Checkpoint> checkpoint;
  bool has_data = false;
};

Result<std::string> architecture_name(const Json& config, const std::string& path) {
  std::string name = model::class_of(config);
  if (!name.empty()) return name;
  return invalid(
      "file " + path + " does not say \"architectures\": [\"…ForCausalLM\"]: add the name of the model class",
      "architectures");
}

Result<Description> describe_directory(const std::string& directory, bool strict) {
  Description result;
  const std::string path = (fs::path(directory) / "config.json").string();
  TENON_ASSIGN(result.config, read_json_file(path));
  if (!result.config.is_object()) return invalid("file " + path + " is not a JSON object");
  TENON_ASSIGN(const std::string name, architecture_name(result.config, path));
  TENON_ASSIGN(result.entry, model::find_architecture(name, result.config, path));
  auto opened = weights::open_safetensors(directory);
  result.has_data = opened.has_value();
  if (opened) {
    result.checkpoint = std::move(*opened);
    return result;
  }
  if (strict || opened.error().code != ErrorCode::kNotFound) return std::unexpected(std::move(opened).error());
  const fs::path shapes = fs::path(directory) / "tensors.json";
  std::error_code ignored;
  if (!fs::exists(shapes, ignored)) return result;
  TENON_ASSIGN(const Json tensors, read_json_file(shapes.string()));
  TENON_ASSIGN(const Json expanded, expand_tensors(tensors));
  TENON_ASSIGN(result.checkpoint, weights::shapes_only(expanded));
  return result;
}

Result<Json> config_of_gguf(const model::RegistryEntry& entry, const weights::Checkpoint& checkpoint,
                            const std::string& path) {
  const auto config_of = [&]() -> Result<Json> {
    try {
      return entry.architecture->gguf.config(checkpoint);
    } catch (...) {
      return model::thrown_by(*entry.architecture);
    }
  };
  TENON_TRY(model::try_plugin(entry, [&] { (void)config_of(); }));
  auto config = config_of();
  return config ? std::move(config) : wrap(config.error(), "GGUF file " + path);
}

Result<Description> describe_gguf(const std::string& path) {
  Description result{.config = {}, .entry = {}, .checkpoint = nullptr, .has_data = true};
  TENON_ASSIGN(result.checkpoint, weights::open_gguf(path));
  const Json& metadata = result.checkpoint->metadata();
  const auto it = metadata.find("general.architecture");
  if (it == metadata.end() || !it->is_string()) {
    return invalid("GGUF file " + path + " does not say general.architecture in its metadata");
  }
  auto entry = model::find_gguf_architecture(it->get<std::string>());
  if (!entry) return wrap(entry.error(), "GGUF file " + path);
  result.entry = *entry;
  TENON_ASSIGN(result.config, config_of_gguf(result.entry, *result.checkpoint, path));
  // Some names stand for several classes (deepseek2): the config says which, and that class reads the file.
  TENON_ASSIGN(const std::string name, architecture_name(result.config, path));
  if (!model::serves(*result.entry.architecture, name)) {
    TENON_ASSIGN(result.entry, model::find_architecture(name, result.config));
    TENON_ASSIGN(result.config, config_of_gguf(result.entry, *result.checkpoint, path));
  }
  return result;
}

Result<int> choose_max_length(int requested, const model::ModelConfig& config) {
  if (requested == 0) return config.max_position_embeddings;
  if (requested < 1 || requested > config.max_length_limit) {
    return invalid("a context of " + std::to_string(requested) +
                       " tokens is not possible: this model's config allows 1 to " +
                       std::to_string(config.max_length_limit),
                   "max_length");
  }
  return requested;
}

// A text's default length is what sentence-transformers gives it; --max-length may ask for more of what the config has.
Result<int> choose_text_length(int requested, const model::ModelConfig& config, const std::string& directory) {
  TENON_ASSIGN(int length, choose_max_length(requested, config));
  if (requested != 0 || directory.empty()) return length;
  TENON_ASSIGN(const std::optional<int> max_seq_length, read_max_seq_length(directory));
  return std::min(length, max_seq_length.value_or(length));
}

Result<model::Task> choose_task(const LoadOptions& options, const Description& found, const ModelSource& source) {
  const model::Architecture& architecture = *found.entry.architecture;
  const std::string who = "model " + options.model + " is " + std::string(architecture.name);
  if (architecture.task == model::Task::kEmbedding) {
    if (options.task != Task::kGenerate) return model::Task::kEmbedding;
    return unsupported(
        who +
            ", a model for embedding, not for text-generation: use `tenon encode`, or /v1/embeddings of `tenon serve`",
        "model");
  }
  const bool embeds = architecture.embedding.supported;
  if (options.task == Task::kEmbed) {
    if (embeds) return model::Task::kEmbedding;
    return unsupported(who + ", a model for text-generation that has no embedding task: use `tenon generate`", "model");
  }
  const bool meant_to_embed = source.gguf.empty() ? has_sentence_files(source.directory)
                                                  : gguf_pooling(found.checkpoint->metadata()).has_value();
  if (options.task == Task::kGenerate || !meant_to_embed) return model::Task::kTextGeneration;
  if (embeds) return model::Task::kEmbedding;
  return unsupported(who +
                         ", which only generates text here, but its files say that it embeds: give --task generate "
                         "to serve it as a generator all the same",
                     "model");
}

// The code of an architecture that makes a model of the config, for its trial.
void make_once(const Description& found, model::Task task) {
  const model::Architecture& architecture = *found.entry.architecture;
  const auto config = model::parse_config(architecture, found.config);
  if (!config) return;
  graph::Graph graph;
  tensor::KvLayout layout;
  (void)model::build_model(architecture, *config, (*config)->max_position_embeddings, task, graph, layout);
  if (found.checkpoint != nullptr) (void)model::adapter_of(architecture, found.checkpoint->format(), **config);
}

// Whether a token sees what follows it.
bool sees_ahead(const graph::Graph& graph) {
  return std::ranges::any_of(graph.nodes(), [](const graph::Node& node) {
    return node.op == &graph::kAttention && node.attributes.contains("causal");
  });
}

Result<Embedding> describe_embedding(const PreparedModel& prepared, const Json& config, const ModelSource& source) {
  // Without files that say it: what sentence-transformers makes of a bare encoder, and vLLM of a bare decoder.
  Embedding embedding;
  if (prepared.entry.architecture->task != model::Task::kEmbedding) {
    embedding.pooling = {.mode = runtime::PoolingMode::kLastToken, .normalize = true};
  }
  if (!source.directory.empty()) {
    if (has_sentence_files(source.directory)) {
      TENON_ASSIGN(embedding.pooling, read_pooling(source.directory));
      TENON_ASSIGN(embedding.prompt, read_default_prompt(source.directory));
    } else {
      // A copy that lacks the file gives other vectors than its author's, and nothing else tells.
      const bool encoder = prepared.entry.architecture->task == model::Task::kEmbedding;
      TENON_LOG_WARN("{} has no modules.json, so its vectors are {}", source.directory,
                     encoder ? "the mean of the tokens' states, not normalised" : "the last token's state, normalised");
    }
  }
  if (!source.gguf.empty()) {
    embedding.pooling = gguf_pooling(prepared.checkpoint->metadata()).value_or(embedding.pooling);
  }
  embedding.whole_texts = sees_ahead(*prepared.graph);
  TENON_TRY(read_matryoshka(config, embedding));
  return embedding;
}

}  // namespace

Result<PreparedModel> prepare(const LoadOptions& options, bool strict) {
  TENON_TRY(load_custom_architectures(options.custom_architectures));
  TENON_ASSIGN(const ModelSource source, find_model(options.model, options.revision));
  const bool is_gguf = !source.gguf.empty();
  TENON_ASSIGN(Description found, is_gguf ? describe_gguf(source.gguf) : describe_directory(source.directory, strict));
  const model::Architecture& architecture = *found.entry.architecture;

  PreparedModel prepared{.name = options.model,
                         .entry = found.entry,
                         .config = {},
                         .model = {},
                         .checkpoint = found.checkpoint,
                         .has_data = found.has_data,
                         .graph = {},
                         .weights = {},
                         .encoding = {},
                         .kv_layout = {},
                         .text = {},
                         .embedding = {}};
  TENON_ASSIGN(const model::Task task, choose_task(options, found, source));
  TENON_TRY(model::try_plugin(found.entry, [&] { make_once(found, task); }));
  auto config = model::parse_config(architecture, found.config);
  if (!config)
    return wrap(config.error(), is_gguf ? source.gguf : (fs::path(source.directory) / "config.json").string());
  prepared.config = std::move(*config);
  const bool embeds = task == model::Task::kEmbedding;
  TENON_ASSIGN(prepared.max_length,
               choose_text_length(options.max_length, *prepared.config, embeds ? source.directory : std::string()));
  prepared.graph = std::make_unique<graph::Graph>();
  TENON_ASSIGN(prepared.model, model::build_model(architecture, prepared.config, prepared.max_length, task,
                                                  *prepared.graph, prepared.kv_layout));

  if (prepared.checkpoint != nullptr) {
    const auto format = prepared.checkpoint->format();
    TENON_ASSIGN(auto adapter, model::adapter_of(architecture, format, *prepared.config));
    for (const std::string_view unused : architecture.embedding.unused) {
      if (embeds && !unused.empty()) adapter.ignored.push_back(unused);
    }
    prepared.weights = model::map_weights(*prepared.graph, *prepared.checkpoint, adapter, *prepared.config);
    if (strict) TENON_TRY(model::check(prepared.weights));
    TENON_ASSIGN(prepared.encoding,
                 choose_encoding(options.quantization_encoding, architecture, prepared.weights, *prepared.checkpoint));
  }
  TENON_ASSIGN(prepared.kv_layout.dtype, choose_kv_dtype(options.kv_cache_dtype, prepared.encoding));
  if (is_gguf) {
    TENON_ASSIGN(prepared.text, text_from_gguf(prepared.checkpoint->metadata(), *prepared.config));
  } else {
    TENON_ASSIGN(prepared.text, text_from_directory(source.directory, *prepared.config));
  }
  if (embeds) {
    TENON_ASSIGN(prepared.embedding, describe_embedding(prepared, found.config, source));
    if (!is_gguf) TENON_TRY(check_lower_case(source.directory, prepared.text.tokenizer_json));
  }
  return prepared;
}

compiler::CompileOptions PreparedModel::compile_options(const LoadOptions& options) const {
  compiler::CompileOptions result;
  result.limits = options.limits;
  result.limits.max_pages_per_row = (max_length + tensor::kPageTokens - 1) / tensor::kPageTokens;
  result.kv_layout = kv_layout;
  result.float_dtype = encoding.float_dtype;
  result.dequantize = encoding.dequantize;
  result.taps = options.taps;
  result.pack_later = options.pack_later && !embedding;
  result.disabled_passes = options.disabled_passes;
  return result;
}

Result<Json> expand_tensors(const Json& tensors) {
  constexpr std::int64_t kMaxTensors = 1 << 20;
  constexpr std::size_t kMaxName = 1024;
  if (!tensors.is_object() || !tensors.contains("tensors") || !tensors["tensors"].is_array()) {
    return invalid("tensors.json has no list \"tensors\"");
  }
  Json result = Json::object();
  for (const Json& entry : tensors["tensors"]) {
    if (!entry.is_object() || !entry.contains("name") || !entry["name"].is_string() || !entry.contains("shape")) {
      return invalid("an entry of tensors.json has no name or shape");
    }
    std::vector<std::string> names = {entry["name"].get<std::string>()};
    if (names[0].size() > kMaxName)
      return invalid("tensors.json has a name of " + std::to_string(names[0].size()) + " bytes");
    const Json ranges = entry.contains("range") && entry["range"].is_object() ? entry["range"] : Json::object();
    for (const auto& [variable, range] : ranges.items()) {
      if (!range.is_array() || range.size() != 2 || !range[0].is_number_integer() || !range[1].is_number_integer()) {
        return invalid("tensors.json: the range of " + variable + " is not two integers");
      }
      const auto first = range[0].get<std::int64_t>(), last = range[1].get<std::int64_t>();
      const bool in_range = first >= 0 && first <= last && last < kMaxTensors;
      if (!in_range || static_cast<std::int64_t>(names.size()) * (last - first + 1) > kMaxTensors) {
        return invalid("tensors.json: the range of " + variable +
                       " does not go from one number up to another, or too far");
      }
      std::vector<std::string> expanded;
      const std::string placeholder = "{" + variable + "}";
      for (const std::string& name : names) {
        for (auto i = first; i <= last; ++i) {
          std::string copy = name;
          if (const std::size_t at = copy.find(placeholder); at != std::string::npos) {
            copy.replace(at, placeholder.size(), std::to_string(i));
          }
          expanded.push_back(std::move(copy));
        }
      }
      names = std::move(expanded);
    }
    Json tensor = Json::object();
    tensor["dtype"] = entry.contains("dtype") ? entry["dtype"] : tensors.value("storage_dtype", Json("F32"));
    tensor["shape"] = entry["shape"];
    if (static_cast<std::int64_t>(result.size() + names.size()) > kMaxTensors)
      return invalid("tensors.json names too many tensors");
    // Straight into the map's vector: its own insertion looks for the name first. shapes_only refuses names given
    // twice.
    for (const std::string& name : names) result.get_ref<Json::object_t&>().emplace_back(name, tensor);
  }
  return result;
}

Result<const model::WeightBinding*> CheckpointWeights::find(const std::string& name) const {
  const auto it = map_.bindings.find(name);
  if (it == map_.bindings.end()) return fail(ErrorCode::kNotFound, "the checkpoint has no tensor for " + name);
  return &it->second;
}

Result<tensor::DType> CheckpointWeights::dtype(const std::string& name) {
  TENON_ASSIGN(const model::WeightBinding* binding, find(name));
  return binding->held();
}

Result<tensor::RowView> CheckpointWeights::weight(const std::string& name) {
  TENON_ASSIGN(const model::WeightBinding* found, find(name));
  const model::WeightBinding& binding = *found;
  if (binding.tensor->data == nullptr) return invalid("tensor " + binding.file_name + " is a name and a shape only");
  if (binding.experts.empty()) {
    TENON_ASSIGN(tensor::RowView rows,
                 model::transformed(*binding.tensor, binding.transform, binding.file_name, binding.companion));
    if (rows.owner != nullptr) converted_.insert(name);
    if (rows.owner == nullptr) rows.owner = checkpoint_;
    return rows;
  }
  tensor::RowView rows;
  const auto owners = std::make_shared<std::vector<std::shared_ptr<const void>>>(1, checkpoint_);
  for (const auto& expert : binding.experts) {
    TENON_ASSIGN(const tensor::RowView part,
                 model::transformed(*expert.tensor, binding.transform, expert.file_name, expert.companion));
    if (rows.parts.empty()) {
      rows = part;
      rows.part_rows = part.n;
      rows.n *= static_cast<std::int64_t>(binding.experts.size());
    }
    rows.parts.push_back(part.data);
    owners->push_back(part.owner);
    if (part.owner != nullptr) converted_.insert(name);
  }
  rows.owner = owners;
  return rows;
}

void CheckpointWeights::release(const std::string& name) {
  const auto it = map_.bindings.find(name);
  if (checkpoint_ == nullptr || it == map_.bindings.end()) return;
  checkpoint_->release(it->second.file_name);
  for (const auto& expert : it->second.experts) checkpoint_->release(expert.file_name);
}

std::function<void()> CheckpointWeights::release_later(const std::string& name) {
  const auto it = map_.bindings.find(name);
  if (it == map_.bindings.end() || converted_.contains(name)) return {};
  std::vector<std::string> names = {it->second.file_name};
  for (const auto& expert : it->second.experts) names.push_back(expert.file_name);
  return [checkpoint = checkpoint_, names = std::move(names)] {
    for (const std::string& file_name : names) checkpoint->release(file_name);
  };
}

}  // namespace tenon::loader
