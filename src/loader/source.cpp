#include "loader/source.h"

#include <algorithm>
#include <filesystem>
#include <vector>

namespace tenon::loader {
namespace {

namespace fs = std::filesystem;

Result<ModelSource> in_directory(const std::string& directory) {
  std::error_code ignored;
  if (fs::exists(fs::path(directory) / "config.json", ignored)) return ModelSource{.directory = directory, .gguf = {}};
  std::vector<std::string> files;
  for (const fs::directory_entry& entry : fs::directory_iterator(directory, ignored)) {
    if (entry.path().extension() == ".gguf") files.push_back(entry.path().string());
  }
  std::ranges::sort(files);
  if (files.size() == 1) return ModelSource{.directory = {}, .gguf = files.front()};
  if (files.empty()) {
    return fail(ErrorCode::kNotFound,
                "directory " + directory +
                    " has neither a config.json nor a .gguf file: give the "
                    "directory of a Hugging Face checkpoint",
                "model");
  }
  std::string list;
  for (const std::string& file : files) list += (list.empty() ? "" : ", ") + fs::path(file).filename().string();
  return invalid("directory " + directory + " has several GGUF files (" + list + "): name one of them", "model");
}

}  // namespace

bool is_hub_id(const std::string& model) {
  const std::size_t slash = model.find('/');
  if (slash == std::string::npos || slash == 0 || slash + 1 == model.size() || model.find("..") != std::string::npos) {
    return false;
  }
  return model.find('/', slash + 1) == std::string::npos && model.front() != '.' && model[slash + 1] != '.' &&
         std::ranges::all_of(
             model, [](unsigned char c) { return std::isalnum(c) || c == '.' || c == '_' || c == '-' || c == '/'; });
}

Result<ModelSource> find_model(const std::string& model, const std::string& revision) {
  if (model.empty())
    return invalid("no model is given: name a hub id (org/name), a directory or a .gguf file", "model");
  std::error_code ignored;
  if (fs::is_directory(model, ignored)) return in_directory(model);
  if (fs::is_regular_file(model, ignored)) {
    if (fs::path(model).extension() == ".gguf") return ModelSource{.directory = {}, .gguf = model};
    return invalid("file " + model + " is no .gguf file: give the directory of a SafeTensors checkpoint", "model");
  }
  if (!is_hub_id(model) || fs::path(model).extension() == ".gguf") {
    return fail(ErrorCode::kNotFound,
                "there is no file or directory " + model + ", and it is no hub id of the form org/name", "model");
  }
  return unsupported("model " + model + " at revision " + revision + " is a hub id, which this build cannot fetch",
                     "model");
}

}  // namespace tenon::loader
