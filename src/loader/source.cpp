#include "loader/source.h"

#include <algorithm>
#include <filesystem>
#include <vector>

#include "base/log.h"
#include "hub/hub.h"
#include "hub/progress_bar.h"

namespace tenon::loader {
namespace {

namespace fs = std::filesystem;

Result<ModelSource> in_directory(const std::string& directory) {
  std::error_code ignored;
  std::vector<std::string> files;
  bool safetensors = false;
  for (const fs::directory_entry& entry : fs::directory_iterator(directory, ignored)) {
    if (entry.path().extension() == ".gguf") files.push_back(entry.path().string());
    safetensors = safetensors || entry.path().extension() == ".safetensors";
  }
  std::ranges::sort(files);
  if (fs::exists(fs::path(directory) / "config.json", ignored)) {
    if (safetensors || files.empty()) return ModelSource{.directory = directory, .gguf = {}};
    return invalid("directory " + directory +
                       " has a config.json, but no SafeTensors: give a GGUF file itself, as in " + files.front(),
                   "model");
  }
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

Result<ModelSource> find_model(const std::string& model, const std::string& revision) {
  if (model.empty())
    return invalid("no model is given: name a hub id (org/name), a directory or a .gguf file", "model");
  std::error_code ignored;
  // Files here have no revisions; one that is asked for is another model's than theirs.
  if (revision != "main" && fs::exists(model, ignored)) {
    return invalid(model + " is a file or directory here, of which there is no revision " + revision +
                       ": leave --revision out, or run this where the hub's model of that name is meant",
                   "revision");
  }
  if (fs::is_directory(model, ignored)) return in_directory(model);
  if (fs::is_regular_file(model, ignored)) {
    if (fs::path(model).extension() == ".gguf") return ModelSource{.directory = {}, .gguf = model};
    return invalid("file " + model + " is no .gguf file: give the directory of a SafeTensors checkpoint", "model");
  }
  // "x.gguf" and "dir/x.gguf" are meant as files; "org/name/x.gguf" may be one on the hub.
  const bool meant_as_file = fs::path(model).extension() == ".gguf" && std::ranges::count(model, '/') < 2;
  if (meant_as_file || !hub::is_hub_id(model)) {
    return fail(ErrorCode::kNotFound,
                "there is no file or directory " + model + ", and it is no hub id of the form org/name", "model");
  }
  // Such ids are old ("gpt2") and rare; a name without a slash is mostly a file that is elsewhere.
  const bool has_slash = model.find('/') != model.npos;
  if (!has_slash)
    TENON_LOG_INFO("there is no file or directory {}; looking for a model of that name on the hub", model);
  hub::ProgressBar bar(stderr);
  hub::HubRequest request{.repo = model, .revision = revision};
  request.progress = [&bar](const hub::Progress& progress) { bar.update(progress); };
  const auto snapshot = hub::fetch(request);
  if (!snapshot) {
    Error error = snapshot.error();
    if (error.code == ErrorCode::kNotFound || error.code == ErrorCode::kUnavailable) {
      error.message += "; nor is there a file or directory " + model;
      if (!has_slash) error.message += " (hub ids have the form org/name)";
    }
    return std::unexpected(error);
  }
  if (!snapshot->gguf_path.empty()) return ModelSource{.directory = {}, .gguf = snapshot->gguf_path};
  return in_directory(snapshot->directory);
}

}  // namespace tenon::loader
