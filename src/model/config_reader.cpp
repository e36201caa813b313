#include "model/config_reader.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "base/json.h"
#include "model/fp8_weights.h"
#include "model/gguf_config.h"
#include "model/harmless_fields.h"

namespace tenon::model {

struct ConfigReader::State {
  Json json;  // text_config merged into the top
  std::string architecture;
  std::set<std::string> read;                 // paths that were asked for
  std::map<std::string, const Json*> opened;  // objects that were asked for, by path with its dot
  std::vector<ConfigField> fields;
  std::vector<std::string> notes;
  std::optional<Error> error;
  // The field whose absence is the error: its object, the path of that, and its name.
  const Json* missing_from = nullptr;
  std::string missing_path, missing_name;
  bool rotates_a_part = false;  // rotary_dim() was asked for
  Json gguf_keys;               // of a config that was made of GGUF metadata: the key of each field
};

namespace {

std::string shown(const Json& value) {
  std::string text = value.dump(-1, ' ', false, Json::error_handler_t::replace);
  return text.size() > 80 ? text.substr(0, 77) + "…" : text;
}

bool says_nothing(const Json& value) {
  return value.is_null() || (value.is_boolean() && !value.get<bool>()) ||
         ((value.is_object() || value.is_array() || value.is_string()) && value.empty());
}

}  // namespace

ConfigReader::ConfigReader(const Json& json, std::string architecture) : state_(std::make_shared<State>()) {
  state_->architecture = std::move(architecture);
  if (!json.is_object()) {
    state_->json = Json::object();
    state_->error = Error{ErrorCode::kInvalidArgument, "config.json is not a JSON object", {}};
  } else {
    state_->json = json;
    if (const auto text = json.find("text_config"); text != json.end() && text->is_object()) {
      state_->json.erase("text_config");
      for (const auto& [name, value] : text->items()) state_->json[name] = value;
    }
    // transformers takes an empty rope_scaling as none at all: GPT-OSS then has its YaRN, others their rope_parameters.
    const auto scaling = state_->json.find("rope_scaling");
    if (scaling != state_->json.end() && scaling->is_object() && scaling->empty()) state_->json.erase("rope_scaling");
    if (const auto keys = state_->json.find(kGgufKeys); keys != state_->json.end() && keys->is_object()) {
      state_->gguf_keys = std::move(*keys);
      state_->json.erase(kGgufKeys);
    }
  }
  json_ = &state_->json;
}

ConfigReader::ConfigReader(const Json* json, std::string path, std::shared_ptr<State> state)
    : json_(json), path_(std::move(path)), state_(std::move(state)) {}

const Json* ConfigReader::find(std::string_view field) const {
  const auto it = json_->find(std::string(field));
  return it == json_->end() || it->is_null() ? nullptr : &*it;
}

const Json* ConfigReader::seen(std::string_view field) {
  state_->read.insert(path_of(field));
  return find(field);
}

bool ConfigReader::has(std::string_view field) const { return find(field) != nullptr; }

bool ConfigReader::states(std::string_view field) const { return json_->contains(std::string(field)); }

// A user of a GGUF file has no config.json to look into: its field is named by the key that it comes from.
void ConfigReader::fail(std::string_view field, std::string problem, ErrorCode code) {
  if (state_->error) return;
  const std::string path = path_of(field);
  std::string what = "config field " + path + " of " + state_->architecture + " ";
  if (const auto key = state_->gguf_keys.find(path); key != state_->gguf_keys.end() && key->is_string()) {
    what = "GGUF metadata key " + key->get<std::string>() + " (" + path + " of " + state_->architecture + ") ";
  }
  state_->error = Error{code, what + std::move(problem), path};
}

void ConfigReader::note(std::string text) { state_->notes.push_back(std::move(text)); }

void ConfigReader::understood(std::string_view field, Json value, bool defaulted) {
  const std::string name = path_of(field);
  for (const ConfigField& known : state_->fields) {
    if (known.name == name) return;
  }
  state_->fields.push_back({name, std::make_shared<const Json>(std::move(value)), defaulted});
}

void ConfigReader::missing(std::string_view field) {
  if (state_->error) return;
  fail(field, "is missing");
  state_->missing_from = json_;
  state_->missing_path = path_;
  state_->missing_name = field;
}

// Only when all fields were asked for it is known which one of the file nobody reads, so that it may be the one meant.
std::string ConfigReader::advice_on_missing() const {
  if (state_->gguf_keys.contains(state_->missing_path + state_->missing_name)) return "";
  std::vector<std::string> names;
  for (const auto& [name, value] : state_->missing_from->items()) {
    if (!is_harmless_field(name) && !state_->read.contains(state_->missing_path + name)) names.push_back(name);
  }
  const std::string near = nearest_name(state_->missing_name, names);
  return near.empty() ? ": add it to config.json" : "; did you mean the field \"" + near + "\"?";
}

void ConfigReader::wrong_type(std::string_view field, const Json& value, std::string_view expected) {
  fail(field, "is " + shown(value) + ", but must be " + std::string(expected));
}

std::optional<int> ConfigReader::checked_integer(std::string_view field, int min, int max) {
  const Json* value = seen(field);
  if (value == nullptr) return std::nullopt;
  // Some exporters write 131072.0; the value counts, not its spelling.
  const bool whole = value->is_number_integer() ||
                     (value->is_number_float() && std::nearbyint(value->get<double>()) == value->get<double>());
  const double number = value->is_number() ? value->get<double>() : 0.0;
  if (!whole || number < min || number > max) {
    wrong_type(field, *value, "an integer from " + std::to_string(min) + " to " + std::to_string(max));
    return min;
  }
  understood(field, *value, false);
  return static_cast<int>(number);
}

int ConfigReader::integer(std::string_view field, int min, int max) {
  const auto value = checked_integer(field, min, max);
  if (!value) missing(field);
  return value.value_or(min);
}

int ConfigReader::integer_or(std::string_view field, int otherwise, int min, int max) {
  const auto value = checked_integer(field, min, max);
  if (!value) understood(field, otherwise, true);
  return value.value_or(otherwise);
}

std::optional<int> ConfigReader::optional_integer(std::string_view field, int min, int max) {
  const auto value = checked_integer(field, min, max);
  if (!value) understood(field, nullptr, true);
  return value;
}

std::optional<double> ConfigReader::optional_number(std::string_view field) {
  const Json* value = seen(field);
  if (value == nullptr) {
    understood(field, nullptr, true);
    return std::nullopt;
  }
  if (!value->is_number() || !std::isfinite(value->get<double>())) {
    wrong_type(field, *value, "a number");
    return 1.0;
  }
  understood(field, *value, false);
  return value->get<double>();
}

double ConfigReader::number(std::string_view field) {
  if (seen(field) == nullptr) {
    missing(field);
    return 1.0;
  }
  return *optional_number(field);
}

double ConfigReader::number_or(std::string_view field, double otherwise) {
  if (seen(field) != nullptr) return *optional_number(field);
  understood(field, otherwise, true);
  return otherwise;
}

double ConfigReader::epsilon_or(std::string_view field, double otherwise) {
  const double value = number_or(field, otherwise);
  if (value > 0.0 && value < 1.0) return value;
  fail(field, "is " + shown(Json(value)) + ", but must be more than 0 and less than 1");
  return otherwise;
}

bool ConfigReader::boolean_or(std::string_view field, bool otherwise) {
  const Json* value = seen(field);
  if (value != nullptr && !value->is_boolean()) wrong_type(field, *value, "true or false");
  const bool given = value != nullptr && value->is_boolean();
  const bool result = given ? value->get<bool>() : otherwise;
  understood(field, result, !given);
  return result;
}

std::string ConfigReader::string_or(std::string_view field, std::string_view otherwise) {
  const Json* value = seen(field);
  if (value != nullptr && !value->is_string()) wrong_type(field, *value, "a string");
  const bool given = value != nullptr && value->is_string();
  std::string result = given ? value->get<std::string>() : std::string(otherwise);
  understood(field, result, !given);
  return result;
}

std::vector<std::string> ConfigReader::strings(std::string_view field) {
  const Json* value = seen(field);
  if (value == nullptr) return {};
  std::vector<std::string> result;
  for (const Json& item : value->is_array() ? *value : Json::array({nullptr})) {
    if (!item.is_string()) return wrong_type(field, *value, "a list of strings"), std::vector<std::string>{};
    result.push_back(item.get<std::string>());
  }
  understood(field, *value, false);
  return result;
}

std::vector<double> ConfigReader::numbers(std::string_view field) {
  const Json* value = seen(field);
  if (value == nullptr) return {};
  std::vector<double> result;
  for (const Json& item : value->is_array() ? *value : Json::array({nullptr})) {
    if (!item.is_number() || !std::isfinite(item.get<double>())) {
      return wrong_type(field, *value, "a list of numbers"), std::vector<double>{};
    }
    result.push_back(item.get<double>());
  }
  understood(field, *value, false);
  return result;
}

std::vector<std::int32_t> ConfigReader::token_ids(std::string_view field) {
  const Json* value = seen(field);
  if (value == nullptr) return {};
  std::vector<std::int32_t> result;
  for (const Json& item : value->is_array() ? *value : Json::array({*value})) {
    // Some configs say -1 for "none".
    if (!item.is_number_integer() || item.get<std::int64_t>() < -1 || item.get<std::int64_t>() > kMaxSize) {
      return wrong_type(field, *value, "a token id or a list of token ids"), std::vector<std::int32_t>{};
    }
    if (item.get<std::int64_t>() >= 0) result.push_back(item.get<std::int32_t>());
  }
  understood(field, *value, false);
  return result;
}

nn::Activation ConfigReader::activation_or(std::string_view field, std::string_view otherwise) {
  const std::string name = string_or(field, otherwise);
  if (const nn::Activation activation = nn::find_activation(name)) return activation;
  std::string known;
  for (const std::string_view other : nn::activation_names()) known += (known.empty() ? "" : ", ") + std::string(other);
  fail(field, "names the unknown activation \"" + name + "\"; known are " + known, ErrorCode::kUnsupported);
  return nn::find_activation(otherwise);
}

std::vector<std::string> ConfigReader::layer_types(int num_hidden_layers) {
  std::vector<std::string> types = strings("layer_types");
  if (types.empty()) return types;
  if (static_cast<int>(types.size()) != num_hidden_layers) {
    fail("layer_types", "has " + std::to_string(types.size()) + " entries for " + std::to_string(num_hidden_layers) +
                            " num_hidden_layers");
  }
  for (const std::string& type : types) {
    if (type == "full_attention" || type == "sliding_attention") continue;
    fail("layer_types", "holds \"" + type + "\"; known are full_attention and sliding_attention",
         ErrorCode::kUnsupported);
  }
  types.resize(static_cast<std::size_t>(num_hidden_layers), "full_attention");
  return types;
}

int ConfigReader::integer_not_null_or(std::string_view field, int absent, int min, int max) {
  if (states(field) && !has(field)) {
    fail(field, "is null, but must be a number: write it, or leave the field out for " + std::to_string(absent));
  }
  return integer_or(field, absent, min, max);
}

int ConfigReader::key_value_heads(int absent, std::optional<int> of_null) {
  constexpr const char* kField = "num_key_value_heads";
  if (!of_null) return integer_not_null_or(kField, absent, 1, 65536);
  return integer_or(kField, states(kField) && !has(kField) ? *of_null : absent, 1, 65536);
}

std::string_view ConfigReader::spelling_of(std::string_view field, std::string_view alias) {
  const Json *value = find(field), *other = seen(alias);
  if (value != nullptr && other != nullptr && *value != *other) {
    fail(field, "is " + shown(*value) + ", but " + path_of(alias) + ", another name of it, is " + shown(*other) +
                    ": keep one of them");
  }
  return value == nullptr && other != nullptr ? alias : field;
}

void ConfigReader::check_heads(int num_attention_heads, int num_key_value_heads, int head_dim) {
  if (num_attention_heads % num_key_value_heads != 0) {
    fail("num_key_value_heads", "is " + std::to_string(num_key_value_heads) +
                                    ", which does not divide num_attention_heads " +
                                    std::to_string(num_attention_heads));
  }
  if (head_dim % 2 != 0 || head_dim < 2) {
    fail("head_dim", "is " + std::to_string(head_dim) + ", but rotary embedding needs an even number of dims");
  }
  check_product("head_dim", head_dim, num_attention_heads);
}

void ConfigReader::check_product(std::string_view field, int value, int times) {
  if (std::int64_t{value} * times <= kMaxSize) return;
  fail(field, "makes a size of " + std::to_string(std::int64_t{value} * times) + ", which is more than " +
                  std::to_string(kMaxSize));
}

int ConfigReader::rotary_dim(int head_dim, double default_factor) {
  constexpr const char* kField = "partial_rotary_factor";
  ConfigReader entry = object(has("rope_scaling") ? "rope_scaling" : "rope_parameters");
  const Json *outer = find(kField), *inner = entry.find(kField);
  if (outer != nullptr && inner != nullptr && *outer != *inner) {
    fail(kField,
         "is " + outer->dump() + ", but " + entry.path_of(kField) + " is " + inner->dump() + ": keep one of them");
  }
  // As with rope_theta: the config as it was understood must not contradict itself.
  if (inner != nullptr && outer == nullptr) understood(kField, *inner, true);
  const double factor = entry.number_or(kField, inner != nullptr ? default_factor : number_or(kField, default_factor));
  accept(kField);
  state_->rotates_a_part = true;
  const int rotated = factor > 0.0 && factor <= 1.0 ? static_cast<int>(head_dim * factor) : 0;
  if (rotated >= 2 && rotated % 2 == 0) return rotated;
  (inner != nullptr ? entry : *this)
      .fail(kField, "must leave an even number of each head's " + std::to_string(head_dim) + " dims to rotate");
  return 2;
}

void ConfigReader::refuse_partial_rotary() {
  if (state_->rotates_a_part || number_or("partial_rotary_factor", 1.0) == 1.0) return;
  fail("partial_rotary_factor", "is not 1: rotating a part of each head is not supported", ErrorCode::kUnsupported);
}

ConfigReader ConfigReader::object(std::string_view field) {
  static const Json empty = Json::object();
  const Json* value = seen(field);
  if (value != nullptr && !value->is_object()) wrong_type(field, *value, "an object"), value = nullptr;
  const std::string path = path_of(field) + ".";
  if (value != nullptr) state_->opened[path] = value;
  return ConfigReader(value == nullptr ? &empty : value, path, state_);
}

Status ConfigReader::check_unread(const Json& object, const std::string& path) const {
  for (const auto& [name, value] : object.items()) {
    const std::string full = path + name;
    if (state_->read.contains(full) || says_nothing(value) || is_harmless_field(name)) continue;
    if (name == "quantization_config") {
      const std::string method =
          value.is_object() && value.contains("quant_method") ? shown(value["quant_method"]) : "unnamed";
      if (method == "\"fp8\"") {
        TENON_TRY(check_fp8_config(value, full));
        continue;
      }
      return unsupported("the checkpoint is quantized with the method " + method +
                             ", which is not supported: use its float checkpoint, or a GGUF file",
                         full);
    }
    std::vector<std::string> known;
    for (const std::string& read : state_->read) {
      if (read.starts_with(path) && read.find('.', path.size()) == std::string::npos) {
        const std::string candidate = read.substr(path.size());
        if (!object.contains(candidate)) known.push_back(candidate);
      }
    }
    const std::string near = nearest_name(name, known);
    return unsupported("config field " + full + " is " + shown(value) + ", but " + state_->architecture +
                           " does not read it, and it may change what the model computes" +
                           (near.empty() ? ": remove it if it has no effect" : "; did you mean \"" + near + "\"?"),
                       full);
  }
  return {};
}

double ConfigReader::coverage() const {
  double score = 0.0;
  for (const auto& [name, value] : state_->json.items()) {
    if (is_harmless_field(name)) continue;
    if (state_->read.contains(name))
      score += 1.0;
    else if (!says_nothing(value))
      score -= 1.0;
  }
  for (const std::string& name : state_->read) {
    if (name.find('.') == std::string::npos && !state_->json.contains(name)) score -= 0.1;
  }
  // What a router needs is more than a field: it makes another MLP.
  const auto of_experts = [](const std::string& name) { return name.find("experts") != std::string::npos; };
  const bool has_experts =
      std::ranges::any_of(state_->json.items(), [&](const auto& i) { return of_experts(i.key()); });
  if (has_experts != std::ranges::any_of(state_->read, of_experts)) score -= 3.0;
  return score;
}

Status ConfigReader::finish(ModelConfig& config) {
  if (state_->error) {
    if (state_->missing_from != nullptr) state_->error->message += advice_on_missing();
    return std::unexpected(*state_->error);
  }
  TENON_TRY(check_unread(state_->json, ""));
  for (const auto& [path, object] : state_->opened) TENON_TRY(check_unread(*object, path));
  config.fields = std::move(state_->fields);
  config.notes = std::move(state_->notes);
  return {};
}

}  // namespace tenon::model
