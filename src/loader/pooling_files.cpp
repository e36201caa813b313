#include "loader/pooling_files.h"

#include <filesystem>
#include <optional>

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

}  // namespace

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
