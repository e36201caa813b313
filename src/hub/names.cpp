#include "hub/names.h"

#include <simdjson.h>

#include <algorithm>
#include <cctype>
#include <cstdio>
#include <set>

#include "base/json.h"
#include "hub/hub.h"

namespace tenon::hub {
namespace {

constexpr std::size_t kMaxFileName = 1024;

// One part of a repo id, by the hub's own rule: letters, digits, '-', '_', '.'; no ".." or "--"; at most 96 characters.
bool is_repo_part(std::string_view part) {
  if (part.empty() || part.size() > 96 || part.find("..") != part.npos || part.find("--") != part.npos) return false;
  if (part.front() == '.' || part.front() == '-' || part.back() == '.' || part.back() == '-') return false;
  return std::all_of(part.begin(), part.end(),
                     [](unsigned char c) { return (std::isalnum(c) && c < 0x80) || c == '-' || c == '_' || c == '.'; });
}

bool is_side_file(std::string_view name) {
  static const std::set<std::string_view> kNames = {"config.json",
                                                    "generation_config.json",
                                                    "special_tokens_map.json",
                                                    "added_tokens.json",
                                                    "preprocessor_config.json",
                                                    "processor_config.json",
                                                    kModules,
                                                    "config_sentence_transformers.json"};
  return kNames.contains(name) || (name.starts_with("tokenizer") && name.ends_with(".json")) ||
         (name.starts_with("sentence_") && name.ends_with("_config.json")) || name.starts_with("chat_template.");
}

Result<FileChoice> choose_gguf(const std::string& repo, const std::vector<std::string>& all, const std::string& file,
                               const std::vector<std::string>& ggufs) {
  FileChoice choice;
  for (const std::string& part : gguf_parts(file)) {
    if (std::find(all.begin(), all.end(), part) != all.end()) {
      choice.files.push_back(part);
      continue;
    }
    std::string message = repo + " has no file " + shown(part);
    if (const std::string near = nearest_name(part, ggufs); !near.empty())
      message += "; did you mean " + near + "?";
    else if (!ggufs.empty())
      message += "; its GGUF files are " + list(ggufs);
    else
      message += " nor any other GGUF file";
    return fail(ErrorCode::kNotFound, message);
  }
  choice.gguf = choice.files.front();
  return choice;
}

}  // namespace

std::string shown(std::string_view name) {
  constexpr std::size_t kShown = 160;
  std::string text(name.substr(0, kShown));
  for (char& c : text) c = static_cast<unsigned char>(c) < 0x20 || c == 0x7f ? '?' : c;
  return name.size() > kShown ? text + "…" : text;
}

std::string list(const std::vector<std::string>& names) {
  constexpr std::size_t kShown = 12;
  std::string text;
  for (std::size_t i = 0; i < names.size() && i < kShown; ++i) text += (i ? ", " : "") + shown(names[i]);
  if (names.size() > kShown) text += " and " + std::to_string(names.size() - kShown) + " more";
  return text;
}

std::string in_quotes(std::string_view name) { return std::string(1, '"').append(shown(name)).append(1, '"'); }

bool is_hex(std::string_view text) {
  return !text.empty() &&
         std::all_of(text.begin(), text.end(), [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); });
}

bool is_commit(std::string_view text) { return text.size() == 40 && is_hex(text); }

bool is_safe_file_name(std::string_view name) {
  if (name.empty() || name.size() > kMaxFileName || name.front() == '/') return false;
  if (std::any_of(name.begin(), name.end(),
                  [](unsigned char c) { return c < 0x20 || c == 0x7f || c == '\\' || c == ':'; })) {
    return false;
  }
  for (std::size_t begin = 0; begin <= name.size();) {
    const std::size_t end = std::min(name.find('/', begin), name.size());
    const std::string_view part = name.substr(begin, end - begin);
    if (part.empty() || part == "." || part == ".." || part.size() > 255) return false;
    begin = end + 1;
  }
  return true;
}

Result<RepoName> parse_repo(std::string_view text) {
  RepoName out;
  const std::size_t first = text.find('/');
  const std::size_t second = first == text.npos ? text.npos : text.find('/', first + 1);
  const std::string_view repo = text.substr(0, second);
  const bool parts_good = first == text.npos
                              ? is_repo_part(repo)
                              : is_repo_part(repo.substr(0, first)) && is_repo_part(repo.substr(first + 1));
  if (second != text.npos) out.gguf_file = text.substr(second + 1);
  const bool file_good = second == text.npos || (is_safe_file_name(out.gguf_file) && out.gguf_file.ends_with(".gguf"));
  if (!parts_good || !file_good) {
    return invalid(in_quotes(text) + " is not a hub id; it should look like org/name or org/name/file.gguf");
  }
  out.repo = repo;
  return out;
}

bool is_hub_id(std::string_view text) { return parse_repo(text).has_value(); }

Status check_revision(const std::string& revision) {
  if (!is_safe_file_name(revision) || revision.size() > 255) {
    return invalid(in_quotes(revision) + " is not a revision; give a branch, a tag or a commit");
  }
  return {};
}

std::vector<std::string> gguf_parts(const std::string& file) {
  // "-00001-of-00003.gguf"
  constexpr std::size_t kSuffix = 20;
  int number = 0, count = 0;
  char end = 0;
  if (file.size() <= kSuffix ||
      std::sscanf(file.c_str() + file.size() - kSuffix, "-%5d-of-%5d.ggu%c", &number, &count, &end) != 3 ||
      end != 'f' || number < 1 || count < number) {
    return {file};
  }
  std::vector<std::string> parts;
  for (int i = 1; i <= count; ++i) {
    char suffix[32];
    std::snprintf(suffix, sizeof suffix, "-%05d-of-%05d.gguf", i, count);
    parts.push_back(file.substr(0, file.size() - kSuffix) + suffix);
  }
  return parts;
}

Result<FileChoice> choose_files(const std::string& repo, const std::vector<std::string>& all,
                                const std::string& gguf_file) {
  FileChoice choice;
  std::vector<std::string> safetensors, ggufs;
  bool single = false, index = false, pickled = false;
  for (const std::string& name : all) {
    if (!is_safe_file_name(name)) {
      return invalid(repo + ": the hub lists a file with the unsafe name " + in_quotes(name) +
                     "; nothing was downloaded");
    }
    if (name.ends_with(".gguf")) ggufs.push_back(name);
    if (name.find('/') != name.npos) continue;
    if (is_side_file(name)) choice.files.push_back(name);
    if (name == kModules) choice.modules = name;
    if (name.ends_with(".safetensors")) safetensors.push_back(name);
    single = single || name == kSingle;
    index = index || name == kIndex;
    pickled = pickled || name.ends_with(".bin") || name.ends_with(".pth") || name.ends_with(".pt");
  }
  if (!gguf_file.empty()) return choose_gguf(repo, all, gguf_file, ggufs);
  if (single) {
    choice.files.emplace_back(kSingle);
  } else if (index) {
    choice.files.emplace_back(kIndex);
    choice.index = kIndex;
  } else if (!ggufs.empty()) {
    return invalid(repo + " has no SafeTensors, but GGUF files: " + list(ggufs) + "; name one of them, as in " + repo +
                   "/" + shown(ggufs.front()));
  } else if (!safetensors.empty()) {
    return unsupported(repo + " has " + list(safetensors) + ", but neither " + kSingle + " nor " + kIndex);
  } else if (pickled) {
    return unsupported(repo + " has only PyTorch weights; Tenon reads SafeTensors and GGUF: look for a converted copy");
  } else {
    return fail(ErrorCode::kNotFound, repo + " has no model weights: neither SafeTensors nor GGUF files");
  }
  return choice;
}

Result<std::vector<std::string>> shards_of_index(std::string_view text, const std::string& where) {
  const simdjson::padded_string padded(text);
  simdjson::dom::parser parser;
  simdjson::dom::object weight_map;
  constexpr std::size_t kMaxDepth = 32;
  auto error = parser.allocate(std::max<std::size_t>(padded.size(), 64), kMaxDepth);
  if (!error) error = parser.parse(padded)["weight_map"].get(weight_map);
  if (error) return invalid(where + ": needs an object \"weight_map\": " + simdjson::error_message(error));
  std::set<std::string> files;
  for (const auto [name, value] : weight_map) {
    std::string_view file;
    if (value.get(file) || !is_safe_file_name(file)) {
      return invalid(where + ": the file of the tensor " + shown(name) + " is not a safe file name");
    }
    files.emplace(file);
  }
  return std::vector<std::string>(files.begin(), files.end());
}

std::vector<ModuleConfig> configs_of_modules(std::string_view text) {
  const auto modules = parse_json(text, kModules);
  if (!modules || !modules->is_array()) return {};
  std::vector<ModuleConfig> configs;
  for (const Json& module : *modules) {
    if (!module.is_object()) continue;
    const Json path = module.value("path", Json()), type = module.value("type", Json());
    if (!path.is_string() || !is_safe_file_name(path.get_ref<const std::string&>())) continue;
    configs.push_back({.file = path.get<std::string>() + "/config.json",
                       .needed = type.is_string() && type.get_ref<const std::string&>().ends_with(".Pooling")});
  }
  return configs;
}

}  // namespace tenon::hub
