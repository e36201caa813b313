#include "loader/text_assets.h"

#include <algorithm>
#include <array>
#include <filesystem>

#include "base/file.h"
#include "base/log.h"
#include "model/config_reader.h"

namespace tenon::loader {
namespace {

namespace fs = std::filesystem;

constexpr std::array kSpecialTokens = {"bos_token", "eos_token", "unk_token", "sep_token",
                                       "pad_token", "cls_token", "mask_token"};

// null where there is no such file.
Result<Json> optional_json(const std::string& directory, const char* name) {
  const fs::path path = fs::path(directory) / name;
  std::error_code ignored;
  if (!fs::exists(path, ignored)) return Json(nullptr);
  TENON_ASSIGN(Json json, read_json_file(path.string()));
  if (!json.is_object()) return invalid("file " + path.string() + " is not a JSON object");
  return json;
}

void add_ids(std::vector<std::int32_t>& ids, const Json& value) {
  for (const Json& item : value.is_array() ? value : Json::array({value})) {
    if (!item.is_number_integer() || item.get<std::int64_t>() < 0 ||
        item.get<std::int64_t>() > model::ConfigReader::kMaxSize) {
      continue;
    }
    const auto id = item.get<std::int32_t>();
    if (std::ranges::find(ids, id) == ids.end()) ids.push_back(id);
  }
}

// The ids that a file says; -1 is "none" in some.
Status add_stated_ids(std::vector<std::int32_t>& ids, const Json& value, const std::string& where) {
  if (value.is_null()) return {};
  for (const Json& item : value.is_array() ? value : Json::array({value})) {
    if (item.is_number_integer() && item.get<std::int64_t>() >= -1 &&
        item.get<std::int64_t>() <= model::ConfigReader::kMaxSize) {
      continue;
    }
    return invalid("eos_token_id in " + where + " is " + value.dump(-1, ' ', false, Json::error_handler_t::replace) +
                   ", but must be a token id or a list of token ids");
  }
  add_ids(ids, value);
  return {};
}

void warn_of_ids_outside(const std::vector<std::int32_t>& ids, int vocab_size) {
  for (const std::int32_t id : ids) {
    if (vocab_size == 0 || id < vocab_size) continue;
    TENON_LOG_WARN("eos_token_id {} is no token of this model, which has {}: it will never end a reply", id,
                   vocab_size);
  }
}

// A token as text, or as an added-token object with its text in "content".
void add_special_tokens(Json& tokens, const Json& source) {
  for (const char* name : kSpecialTokens) {
    if (tokens.contains(name) || !source.contains(name)) continue;
    const Json& token = source[name];
    if (token.is_string()) tokens[name] = token;
    if (token.is_object() && token.contains("content") && token["content"].is_string()) tokens[name] = token["content"];
  }
}

// A template as text, or a list of named ones of which "default" counts.
Result<std::string> template_of(const Json& value, const std::string& where) {
  if (value.is_string()) return value.get<std::string>();
  if (!value.is_array())
    return invalid("chat_template in " + where + " is neither a string nor a list of named templates");
  for (const Json& entry : value) {
    if (entry.is_object() && entry.contains("name") && entry["name"] == "default" && entry.contains("template") &&
        entry["template"].is_string()) {
      return entry["template"].get<std::string>();
    }
  }
  return invalid("chat_template in " + where + " is a list without a template named \"default\"");
}

}  // namespace

Result<TextAssets> text_from_directory(const std::string& directory, const model::ModelConfig& config) {
  TextAssets text;
  std::error_code ignored;
  if (const fs::path path = fs::path(directory) / "tokenizer.json"; fs::exists(path, ignored)) {
    TENON_ASSIGN(text.tokenizer_json, read_file(path.string()));
    if (text.tokenizer_json.empty()) return invalid("file " + path.string() + " is empty");
  }
  TENON_ASSIGN(const Json tokenizer_config, optional_json(directory, "tokenizer_config.json"));
  TENON_ASSIGN(const Json tokens_map, optional_json(directory, "special_tokens_map.json"));
  if (tokenizer_config.is_object()) add_special_tokens(text.special_tokens, tokenizer_config);
  if (tokens_map.is_object()) add_special_tokens(text.special_tokens, tokens_map);

  // transformers' order: the file of its own wins over the tokenizer's config.
  TENON_ASSIGN(const Json template_json, optional_json(directory, "chat_template.json"));
  if (const fs::path path = fs::path(directory) / "chat_template.jinja"; fs::exists(path, ignored)) {
    TENON_ASSIGN(text.chat_template, read_file(path.string(), std::size_t{16} << 20));
  } else if (template_json.is_object() && template_json.contains("chat_template")) {
    TENON_ASSIGN(text.chat_template, template_of(template_json["chat_template"], directory + "/chat_template.json"));
  } else if (tokenizer_config.is_object() && tokenizer_config.contains("chat_template") &&
             !tokenizer_config["chat_template"].is_null()) {
    TENON_ASSIGN(text.chat_template,
                 template_of(tokenizer_config["chat_template"], directory + "/tokenizer_config.json"));
  }

  TENON_ASSIGN(Json generation_config, optional_json(directory, "generation_config.json"));
  if (generation_config.is_object()) text.generation_config = std::move(generation_config);
  if (text.generation_config.contains("eos_token_id")) {
    TENON_TRY(add_stated_ids(text.eos_token_ids, text.generation_config["eos_token_id"],
                             directory + "/generation_config.json"));
  }
  add_ids(text.eos_token_ids, config.eos_token_ids);
  warn_of_ids_outside(text.eos_token_ids, config.vocab_size);
  return text;
}

Result<TextAssets> text_from_gguf(const Json& metadata, const model::ModelConfig& config) {
  TextAssets text;
  text.gguf_metadata = metadata;
  const auto value = [&](const std::string& key) -> const Json* {
    const auto it = metadata.find("tokenizer." + key);
    return it == metadata.end() ? nullptr : &*it;
  };
  if (const Json* source = value("chat_template")) {
    TENON_ASSIGN(text.chat_template, template_of(*source, "the GGUF metadata"));
  }
  if (const Json* add = value("ggml.add_bos_token"); add != nullptr && add->is_boolean())
    text.add_bos_token = add->get<bool>();

  const Json* tokens = value("ggml.tokens");
  const Json* types = value("ggml.token_type");
  static constexpr std::array<std::pair<const char*, const char*>, 5> kIds = {
      {{"ggml.bos_token_id", "bos_token"},
       {"ggml.eos_token_id", "eos_token"},
       {"ggml.unknown_token_id", "unk_token"},
       {"ggml.padding_token_id", "pad_token"},
       {"ggml.seperator_token_id", "sep_token"}}};
  for (const auto& [key, name] : kIds) {
    const Json* id = value(key);
    if (id == nullptr || !id->is_number_integer() || tokens == nullptr || !tokens->is_array()) continue;
    const auto index = id->get<std::int64_t>();
    if (index < 0 || index >= static_cast<std::int64_t>(tokens->size())) {
      return invalid("GGUF metadata key tokenizer." + std::string(key) + " is " + std::to_string(index) +
                     ", which is no token of the vocabulary");
    }
    const Json& token = (*tokens)[static_cast<std::size_t>(index)];
    if (token.is_string()) text.special_tokens[name] = token;
  }

  add_ids(text.eos_token_ids, config.eos_token_ids);
  for (const char* key : {"ggml.eos_token_id", "ggml.eot_token_id", "ggml.eom_token_id"}) {
    if (const Json* id = value(key)) add_ids(text.eos_token_ids, *id);
  }
  // Older files do not say which token ends a turn; llama.cpp finds it by its text. Control tokens have type 3.
  static constexpr std::array kEndOfTurn = {"<|eot_id|>", "<|im_end|>", "<end_of_turn>", "<|eom_id|>", "<|end|>"};
  const bool typed = tokens != nullptr && tokens->is_array() && types != nullptr && types->is_array() &&
                     types->size() == tokens->size();
  for (std::size_t i = 0; typed && i < tokens->size(); ++i) {
    if ((*types)[i] != 3 || !(*tokens)[i].is_string()) continue;
    const auto& token = (*tokens)[i].get_ref<const std::string&>();
    if (std::ranges::find(kEndOfTurn, token) != kEndOfTurn.end()) add_ids(text.eos_token_ids, i);
  }
  return text;
}

}  // namespace tenon::loader
