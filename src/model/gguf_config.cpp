#include "model/gguf_config.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>
#include <set>

namespace tenon::model {
namespace {

constexpr std::array kCommonFields = std::to_array<GgufField>({
    {"context_length", "max_position_embeddings"},
    {"embedding_length", "hidden_size"},
    {"block_count", "num_hidden_layers"},
    {"feed_forward_length", "intermediate_size"},
    {"attention.head_count", "num_attention_heads"},
    {"attention.head_count_kv", "num_key_value_heads"},
    {"attention.layer_norm_rms_epsilon", "rms_norm_eps"},
    {"attention.key_length", "head_dim"},
    {"vocab_size", "vocab_size"},
    {"rope.freq_base", ""},          // with the scaling, below
    {"rope.dimension_count", ""},    // checked below
    {"attention.value_length", ""},  // checked below
    {"rope.scaling.type", ""},
    {"rope.scaling.factor", ""},
    {"rope.scaling.original_context_length", ""},
    {"rope.scaling.finetuned", ""},  // a remark, not a parameter
    {"tensor_data_layout", ""},      // old files' remark that q and k are permuted, as they always are
    {"rope.scaling.yarn_beta_fast", ""},
    {"rope.scaling.yarn_beta_slow", ""},
    {"rope.scaling.yarn_attn_factor", ""},
});

// What a default would only guess, and what every converter writes.
constexpr std::array<std::string_view, 4> kNeeded = {"context_length", "embedding_length", "block_count",
                                                     "attention.head_count"};

constexpr const char* kPartialRotary = "partial_rotary_factor";

std::string architecture_of(const weights::Checkpoint& checkpoint) {
  const Json& metadata = checkpoint.metadata();
  const auto it = metadata.find("general.architecture");
  return it != metadata.end() && it->is_string() ? it->get<std::string>() : std::string();
}

bool zero(const Json& value) { return value.is_number() && value.get<double>() == 0.0; }

std::string shown(const Json& value) {
  return value.is_array() ? "a list of " + std::to_string(value.size())
                          : value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

// llama.cpp keeps Llama 3's scaling as a tensor of one divisor for each inverse frequency.
Result<Json> frequency_factors(const weights::Checkpoint& checkpoint) {
  const tensor::TensorView* tensor = checkpoint.find("rope_freqs.weight");
  if (tensor == nullptr) return Json(nullptr);
  if (tensor->dtype != tensor::DType::kF32 || tensor->shape.size() != 1 || tensor->data == nullptr) {
    return invalid("tensor rope_freqs.weight must be a vector of F32");
  }
  std::vector<float> values(static_cast<std::size_t>(tensor->shape[0]));
  tensor::to_float(tensor->dtype, tensor->data, tensor->shape[0], values.data());
  Json factors = Json::array();
  for (const float value : values) {
    if (!std::isfinite(value) || value <= 0.0f)
      return invalid("tensor rope_freqs.weight holds a factor that is not positive");
    factors.push_back(static_cast<double>(value));
  }
  return factors;
}

// `keys` gets the keys of the fields.
Result<Json> rope_parameters(const weights::Checkpoint& checkpoint, Json& keys) {
  const auto copy = [&](Json& to, const std::string& field, const std::string& key) {
    keys["rope_parameters." + field] = architecture_of(checkpoint) + "." + key;
    if (const Json* value = gguf_value(checkpoint, key)) to[field] = *value;
  };
  Json rope = Json::object();
  const Json* type = gguf_value(checkpoint, "rope.scaling.type");
  const std::string name = type != nullptr && type->is_string() ? type->get<std::string>() : "none";
  rope["rope_theta"] = 10000.0;  // where a file does not say it, llama.cpp takes this, whatever the family
  copy(rope, "rope_theta", "rope.freq_base");
  TENON_ASSIGN(Json factors, frequency_factors(checkpoint));
  if (name == "none") {
    rope["rope_type"] = "default";
    if (factors.is_array()) rope["frequency_factors"] = std::move(factors);
    return rope;
  }
  if (factors.is_array()) {
    return unsupported("GGUF metadata asks for rope scaling \"" + name +
                       "\" beside a tensor rope_freqs.weight, which is not "
                       "supported together");
  }
  if (name != "linear" && name != "yarn") {
    return unsupported("GGUF metadata key rope.scaling.type is \"" + name + "\"; known are none, linear and yarn");
  }
  rope["rope_type"] = name;
  copy(rope, "factor", "rope.scaling.factor");
  if (name == "yarn") {
    copy(rope, "original_max_position_embeddings", "rope.scaling.original_context_length");
    copy(rope, "beta_fast", "rope.scaling.yarn_beta_fast");
    copy(rope, "beta_slow", "rope.scaling.yarn_beta_slow");
    copy(rope, "attention_factor", "rope.scaling.yarn_attn_factor");
  }
  return rope;
}

Status check_needed(const weights::Checkpoint& checkpoint, std::span<const GgufField> fields) {
  std::string epsilon = "attention.layer_norm_rms_epsilon";
  for (const GgufField& field : fields) {
    if (field.key.ends_with("_epsilon")) epsilon = field.key;
  }
  std::vector<std::string_view> needed(kNeeded.begin(), kNeeded.end());
  needed.push_back(epsilon);
  for (const std::string_view key : needed) {
    if (gguf_value(checkpoint, key) != nullptr) continue;
    const std::string name = architecture_of(checkpoint) + "." + std::string(key);
    return invalid("GGUF metadata key " + name +
                       " is missing, without which the model cannot be computed as it was "
                       "trained: convert it anew",
                   name);
  }
  return {};
}

}  // namespace

const Json* gguf_value(const weights::Checkpoint& checkpoint, std::string_view key) {
  const Json& metadata = checkpoint.metadata();
  const auto it = metadata.find(architecture_of(checkpoint) + "." + std::string(key));
  return it == metadata.end() || it->is_null() ? nullptr : &*it;
}

Result<Json> config_from_gguf(const weights::Checkpoint& checkpoint, std::string_view architecture_class,
                              std::span<const GgufField> fields) {
  const Json& metadata = checkpoint.metadata();
  const std::string prefix = architecture_of(checkpoint) + ".";
  Json config = Json::object();
  config["architectures"] = Json::array({std::string(architecture_class)});
  Json keys = Json::object();

  std::set<std::string, std::less<>> known;
  const auto take = [&](const GgufField& field) {
    known.insert(std::string(field.key));
    const Json* value = gguf_value(checkpoint, field.key);
    if (field.field.empty()) return;
    keys[std::string(field.field)] = prefix + std::string(field.key);
    if (value != nullptr) config[std::string(field.field)] = *value;
  };
  for (const GgufField& field : kCommonFields) take(field);
  const auto own = [&](std::string_view key) {
    return std::ranges::any_of(fields, [&](const GgufField& field) { return field.key == key; });
  };
  for (const GgufField& field : fields) take(field);
  for (const auto& [key, value] : metadata.items()) {
    if (!key.starts_with(prefix) || known.contains(std::string_view(key).substr(prefix.size())) || zero(value))
      continue;
    return unsupported("GGUF metadata key " + key + " is " + shown(value) + ", but " + std::string(architecture_class) +
                           " does not read it, and it may change what the model computes",
                       key);
  }

  TENON_TRY(check_needed(checkpoint, fields));

  if (!config.contains("vocab_size")) {
    const auto tokens = metadata.find("tokenizer.ggml.tokens");
    if (tokens == metadata.end() || !tokens->is_array()) {
      return invalid("the GGUF file says neither " + prefix + "vocab_size nor tokenizer.ggml.tokens");
    }
    config["vocab_size"] = tokens->size();
  }
  const Json* key_length = gguf_value(checkpoint, "attention.key_length");
  const Json* value_length = gguf_value(checkpoint, "attention.value_length");
  if (value_length != nullptr && !own("attention.value_length") &&
      (key_length == nullptr || *key_length != *value_length)) {
    return unsupported("GGUF metadata key " + prefix + "attention.value_length differs from attention.key_length");
  }
  // llama.cpp's defaults where the file does not say.
  const auto integer = [&](const char* field) {
    return config.contains(field) && config[field].is_number_integer() ? config[field].get<std::int64_t>() : 0;
  };
  const std::int64_t heads = integer("num_attention_heads");
  if (!config.contains("num_key_value_heads") && heads > 0) config["num_key_value_heads"] = heads;
  if (!config.contains("head_dim") && heads > 0) config["head_dim"] = integer("hidden_size") / heads;
  const Json* rotated = gguf_value(checkpoint, "rope.dimension_count");
  if (rotated != nullptr && !own("rope.dimension_count") && *rotated != config["head_dim"]) {
    return unsupported("GGUF metadata key " + prefix + "rope.dimension_count is " + shown(*rotated) +
                       ", but head_dim is " + shown(config["head_dim"]) +
                       ": rotating a part of each head is not supported");
  }
  config["tie_word_embeddings"] = checkpoint.find("output.weight") == nullptr;
  std::optional<double> part;
  if (config.contains(kPartialRotary)) {
    config.erase(kPartialRotary);
    const std::int64_t head_dim = integer("head_dim");
    // Half a dim more, so that rounding down gives these.
    if (rotated->is_number_integer() && head_dim > 0 && *rotated < head_dim)
      part = (rotated->get<double>() + 0.5) / static_cast<double>(head_dim);
  }
  for (const auto& [key, field] : {std::pair{"tokenizer.ggml.bos_token_id", "bos_token_id"},
                                   std::pair{"tokenizer.ggml.eos_token_id", "eos_token_id"}}) {
    keys[field] = key;
    if (const auto it = metadata.find(key); it != metadata.end()) config[field] = *it;
  }
  TENON_ASSIGN(config["rope_parameters"], rope_parameters(checkpoint, keys));
  if (part) config["rope_parameters"][kPartialRotary] = *part;
  config[kGgufKeys] = std::move(keys);
  return config;
}

}  // namespace tenon::model
