#include "model/registry.h"

#include <algorithm>

#include "base/log.h"

// The one place where model/ knows of architectures/: the list of folders.
#define ARCHITECTURE(family)                          \
  namespace tenon::architectures::family {            \
  const ::tenon::model::Architecture& architecture(); \
  }
#include "architectures/registry.def"
#undef ARCHITECTURE

namespace tenon::model {

namespace {

std::vector<RegistryEntry>& entries() {
  static std::vector<RegistryEntry> list = {
#define ARCHITECTURE(family) {#family, &::tenon::architectures::family::architecture()},
#include "architectures/registry.def"
#undef ARCHITECTURE
  };
  return list;
}

std::string known_names() {
  std::string names;
  for (const RegistryEntry& entry : registry()) {
    names += (names.empty() ? "" : ", ") + std::string(entry.architecture->name);
  }
  return names;
}

// How near an architecture is: by the beginning of its name (the family), and by how much of the config it understands.
double resemblance(const Architecture& architecture, std::string_view name, const Json& config) {
  std::size_t common = 0;
  while (common < std::min(name.size(), architecture.name.size()) && name[common] == architecture.name[common])
    ++common;
  double score = 0.5 * static_cast<double>(common) - static_cast<double>(edit_distance(name, architecture.name)) / 8.0;
  if (!config.is_object()) return score;
  ConfigReader reader(config, std::string(architecture.name));
  (void)architecture.parse_config(reader);
  score += reader.coverage();
  return score;
}

}  // namespace

const std::vector<RegistryEntry>& registry() { return entries(); }

Status register_architecture(RegistryEntry entry) {
  const std::string_view name = entry.architecture->name;
  for (RegistryEntry& known : entries()) {
    if (known.architecture->name != name) continue;
    if (!known.origin.empty()) {
      return invalid("custom architectures " + known.origin + " and " + entry.origin + " are both called " +
                     std::string(name) + ": give one of them only");
    }
    TENON_LOG_WARN("custom architecture {} from {} overrides the built-in one", name, entry.origin);
    known = std::move(entry);
    return {};
  }
  TENON_LOG_INFO("custom architecture {} from {}", name, entry.origin);
  entries().push_back(std::move(entry));
  return {};
}

RegistryEntry nearest_architecture(std::string_view name, const Json& config) {
  const RegistryEntry* nearest = nullptr;
  double best = 0.0;
  for (const RegistryEntry& entry : registry()) {
    if (!entry.origin.empty()) continue;
    const double score = resemblance(*entry.architecture, name, config);
    if (nearest == nullptr || score > best) nearest = &entry, best = score;
  }
  TENON_CHECK(nearest != nullptr, "registry.def has no architecture that is not overridden");
  return *nearest;
}

Result<RegistryEntry> find_architecture(std::string_view name, const Json& config, std::string_view path) {
  const RegistryEntry* substitute = nullptr;  // an architecture of the very name goes first
  for (const RegistryEntry& entry : registry()) {
    if (entry.architecture->name == name) return entry;
    const auto& also = entry.architecture->also;
    if (std::ranges::find(also, name) != also.end()) substitute = &entry;
  }
  if (substitute != nullptr) return *substitute;
  const RegistryEntry nearest = nearest_architecture(name, config);
  return unsupported("architecture " + std::string(name) + " is not known; known are " + known_names() + ". Of these " +
                     std::string(nearest.architecture->name) +
                     " is the nearest to its config: start a new architecture by `tenon new " + std::string(name) +
                     " --from " + std::string(nearest.family) + " --config " + std::string(path) +
                     "`, and give its folder by --custom-architectures");
}

Result<RegistryEntry> find_gguf_architecture(std::string_view general_architecture) {
  std::string known;
  const RegistryEntry* found = nullptr;
  for (const RegistryEntry& entry : registry()) {
    for (const std::string_view name : entry.architecture->gguf.architectures) {
      if (name == general_architecture && (found == nullptr || !entry.origin.empty()))
        found = &entry;  // plug-ins first
      known += (known.empty() ? "" : ", ") + std::string(name);
    }
  }
  if (found != nullptr) return *found;
  return unsupported("GGUF architecture \"" + std::string(general_architecture) + "\" is not known; known are " +
                     known);
}

}  // namespace tenon::model
