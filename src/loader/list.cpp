#include "loader/loader.h"
#include "model/plugin/plugins.h"
#include "model/registry.h"

namespace tenon::loader {

Status load_custom_architectures(const std::vector<std::string>& paths) { return model::load_plugins(paths); }

Json list_architectures() {
  Json rows = Json::array();
  for (const model::RegistryEntry& entry : model::registry()) {
    const model::Architecture& architecture = *entry.architecture;
    Json encodings = Json::array(), modalities = Json::array(), repos = Json::array(), gguf = Json::array();
    for (const auto encoding : architecture.encodings) encodings.push_back(model::name(encoding));
    for (const auto modality : architecture.modalities) modalities.push_back(model::name(modality));
    for (const auto repo : architecture.example_repos) repos.push_back(std::string(repo));
    for (const auto name : architecture.gguf.architectures) gguf.push_back(std::string(name));
    Json row = Json::object();
    row["name"] = std::string(architecture.name);
    row["family"] = std::string(entry.family);
    row["origin"] = entry.origin.empty() ? std::string("built in") : entry.origin;
    row["task"] = model::name(architecture.task);
    row["default_encoding"] = model::name(architecture.default_encoding);
    row["encodings"] = std::move(encodings);
    row["modalities"] = std::move(modalities);
    row["gguf_architectures"] = std::move(gguf);
    row["example_repos"] = std::move(repos);
    rows.push_back(std::move(row));
  }
  return rows;
}

}  // namespace tenon::loader
