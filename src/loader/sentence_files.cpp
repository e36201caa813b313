#include "loader/sentence_files.h"

#include <algorithm>
#include <filesystem>

#include "base/file.h"
#include "base/json.h"

namespace tenon::loader {
namespace {

namespace fs = std::filesystem;
using runtime::PoolingMode;

// "sentence_transformers.models.Pooling" -> "Pooling"
std::string kind_of(const Json& module) {
  const auto it = module.find("type");
  const std::string type = it != module.end() && it->is_string() ? it->get<std::string>() : "";
  return type.substr(type.rfind('.') + 1);
}

// Either flags, or (sentence-transformers 5) "pooling_mode": "mean".
Result<PoolingMode> mode_of(const Json& config, const std::string& path) {
  static constexpr std::pair<const char*, PoolingMode> kModes[] = {
      {"cls", PoolingMode::kCls}, {"mean", PoolingMode::kMean}, {"lasttoken", PoolingMode::kLastToken}};
  std::vector<std::string> names;
  for (const auto& [field, value] : config.items()) {
    if (field == "pooling_mode" && value.is_string()) names.push_back(value.get<std::string>());
    if (!field.starts_with("pooling_mode_") || !value.is_boolean() || !value.get<bool>()) continue;
    std::string name = field.substr(std::string("pooling_mode_").size());
    if (name.ends_with("_tokens")) name.resize(name.size() - std::string("_tokens").size());
    if (name.ends_with("_token")) name.resize(name.size() - std::string("_token").size());
    names.push_back(name);
  }
  if (names.size() == 1) {
    for (const auto& [name, mode] : kModes) {
      if (names[0] == name) return mode;
    }
  }
  std::string found;
  for (const std::string& name : names) found += (found.empty() ? "" : ", ") + name;
  return unsupported("file " + path + " asks for the pooling " + (found.empty() ? std::string("(none)") : found) +
                         "; supported is one of mean, cls and lasttoken",
                     "pooling_mode");
}

constexpr const char* kSentenceConfig = "sentence_bert_config.json";
constexpr const char* kPromptConfig = "config_sentence_transformers.json";

// An object, empty where there is no file.
Result<Json> read_sentence_config(const std::string& directory, const char* file = kSentenceConfig) {
  const fs::path path = fs::path(directory) / file;
  std::error_code ignored;
  if (!fs::exists(path, ignored)) return Json::object();
  TENON_ASSIGN(Json config, read_json_file(path.string()));
  if (!config.is_object()) return invalid("file " + path.string() + " is not a JSON object");
  return config;
}

// Whether a tokenizer.json's normalizer makes lower case: a BertNormalizer, a Lowercase, or a sequence with one.
bool lowers(const Json& normalizer) {
  if (!normalizer.is_object()) return false;
  const Json type = normalizer.value("type", Json());
  if (type == "Lowercase") return true;
  if (type == "BertNormalizer") return normalizer.value("lowercase", Json()) == true;
  const auto list = normalizer.find("normalizers");
  return type == "Sequence" && list != normalizer.end() && list->is_array() && std::ranges::any_of(*list, lowers);
}

}  // namespace

bool has_sentence_files(const std::string& directory) {
  std::error_code ignored;
  return fs::exists(fs::path(directory) / "modules.json", ignored);
}

Result<std::optional<int>> read_max_seq_length(const std::string& directory) {
  TENON_ASSIGN(const Json config, read_sentence_config(directory));
  const auto value = config.find("max_seq_length");
  if (value == config.end() || value->is_null()) return std::nullopt;
  if (!value->is_number_integer() || *value < 1 || *value > (1 << 24)) {
    return invalid("file " + directory + "/" + kSentenceConfig + " has the max_seq_length " + value->dump() +
                       ", which is no number of tokens",
                   "max_seq_length");
  }
  return value->get<int>();
}

Status check_lower_case(const std::string& directory, const std::string& tokenizer_json) {
  TENON_ASSIGN(const Json config, read_sentence_config(directory));
  if (config.value("do_lower_case", Json()) != true || tokenizer_json.empty()) return {};
  TENON_ASSIGN(const Json tokenizer,
               parse_json(tokenizer_json, "tokenizer.json", {.max_bytes = tokenizer_json.size()}));
  if (tokenizer.is_object() && lowers(tokenizer.value("normalizer", Json()))) return {};
  return unsupported("file " + directory + "/" + kSentenceConfig +
                         " says do_lower_case, which the tokenizer does not do itself: Tenon does not change texts "
                         "before they are tokenized",
                     "do_lower_case");
}

Result<std::string> read_default_prompt(const std::string& directory) {
  TENON_ASSIGN(const Json config, read_sentence_config(directory, kPromptConfig));
  const Json name = config.value("default_prompt_name", Json());
  if (name.is_null()) return std::string();
  const Json prompts = config.value("prompts", Json());
  const auto prompt = name.is_string() && prompts.is_object() ? prompts.find(name.get<std::string>()) : prompts.end();
  if (prompt == prompts.end() || !prompt->is_string()) {
    return invalid("file " + directory + "/" + kPromptConfig + " has the default_prompt_name " + name.dump() +
                       ", which is none of its prompts",
                   "default_prompt_name");
  }
  return prompt->get<std::string>();
}

std::optional<runtime::Pooling> gguf_pooling(const Json& metadata) {
  const auto architecture = metadata.find("general.architecture");
  if (architecture == metadata.end() || !architecture->is_string()) return std::nullopt;
  const auto type = metadata.find(architecture->get<std::string>() + ".pooling_type");
  if (type == metadata.end() || !type->is_number_integer()) return std::nullopt;
  // enum llama_pooling_type of llama.h; 0 is none, 4 belongs to rerankers.
  if (*type == 1) return runtime::Pooling{.mode = PoolingMode::kMean, .normalize = true};
  if (*type == 2) return runtime::Pooling{.mode = PoolingMode::kCls, .normalize = true};
  if (*type == 3) return runtime::Pooling{.mode = PoolingMode::kLastToken, .normalize = true};
  return std::nullopt;
}

Status read_matryoshka(const Json& config, Embedding& embedding) {
  if (const Json is = config.value("is_matryoshka", Json()); !is.is_null()) {
    if (!is.is_boolean()) return invalid("config.json: is_matryoshka must be true or false", "is_matryoshka");
    embedding.matryoshka = is.get<bool>();
  }
  const Json list = config.value("matryoshka_dimensions", Json());
  if (list.is_null()) return {};
  if (!list.is_array() || !std::ranges::all_of(list, [](const Json& n) { return n.is_number_integer() && n > 0; })) {
    return invalid("config.json: matryoshka_dimensions must be a list of numbers of dimensions",
                   "matryoshka_dimensions");
  }
  for (const Json& n : list) embedding.matryoshka_dimensions.push_back(n.get<std::int64_t>());
  embedding.matryoshka = embedding.matryoshka || !embedding.matryoshka_dimensions.empty();
  return {};
}

Result<runtime::Pooling> read_pooling(const std::string& directory) {
  const fs::path modules_path = fs::path(directory) / "modules.json";
  std::error_code ignored;
  if (!fs::exists(modules_path, ignored)) return runtime::Pooling{};
  TENON_ASSIGN(const Json modules, read_json_file(modules_path.string()));
  if (!modules.is_array()) return invalid("file " + modules_path.string() + " is not a list of modules");
  runtime::Pooling pooling;
  bool pooled = false;
  for (const Json& module : modules) {
    if (!module.is_object()) return invalid("file " + modules_path.string() + " holds a module that is not an object");
    const std::string kind = kind_of(module);
    if (kind == "Transformer") continue;
    if (kind == "Normalize" && pooled) {
      pooling.normalize = true;
    } else if (kind == "Pooling" && !pooled) {
      const auto folder = module.find("path");
      // The path is a name beside modules.json: a file must not lead elsewhere.
      const std::string name = folder != module.end() && folder->is_string() ? folder->get<std::string>() : "";
      if (name.empty() || name.find('/') != std::string::npos || name.starts_with(".")) {
        return invalid("file " + modules_path.string() + " gives its Pooling module the path \"" + name +
                       "\", which is no folder beside it");
      }
      const std::string path = (fs::path(directory) / name / "config.json").string();
      TENON_ASSIGN(const Json config, read_json_file(path));
      if (!config.is_object()) return invalid("file " + path + " is not a JSON object");
      TENON_ASSIGN(pooling.mode, mode_of(config, path));
      if (config.value("include_prompt", Json()) == false) {
        TENON_ASSIGN(const std::string prompt, read_default_prompt(directory));
        if (!prompt.empty()) {
          return unsupported("file " + path + " says include_prompt false, but the model has the default prompt \"" +
                                 prompt + "\": pooling without its tokens is not supported",
                             "include_prompt");
        }
      }
      pooled = true;
    } else {
      return unsupported("file " + modules_path.string() + " has a module " + kind +
                             " there; supported are Transformer, then one Pooling, then Normalize",
                         "modules.json");
    }
  }
  if (!pooled) return invalid("file " + modules_path.string() + " has no Pooling module");
  return pooling;
}

}  // namespace tenon::loader
