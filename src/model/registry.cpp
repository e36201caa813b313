#include "model/registry.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "base/json.h"
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

// A class whose checkpoints both run; "" if there is none.
std::string_view class_of_both(const Architecture& a, const Architecture& b) {
  if (serves(a, b.name)) return b.name;
  const auto both = std::ranges::find_if(b.also, [&](std::string_view name) { return serves(a, name); });
  return both == b.also.end() ? std::string_view() : *both;
}

// What a class is for, by transformers' suffixes; none where its name does not say ("MyModel" may be either).
std::optional<Task> task_of(std::string_view class_name) {
  for (const std::string_view suffix : {"ForCausalLM", "LMHeadModel", "ForConditionalGeneration"}) {
    if (class_name.ends_with(suffix)) return Task::kTextGeneration;
  }
  return class_name.ends_with("ForMaskedLM") ? std::optional(Task::kEmbedding) : std::nullopt;
}

// How near an architecture is: by the beginning of its name (the family, so that a letter or two is chance), and by how
// much of the config it understands.
double resemblance(const Architecture& architecture, std::string_view name, const Json& config) {
  std::size_t common = 0;
  while (common < std::min(name.size(), architecture.name.size()) && name[common] == architecture.name[common])
    ++common;
  constexpr std::size_t kFamily = 4;
  double score = common < kFamily ? 0.0 : 0.5 * static_cast<double>(common);
  score -= static_cast<double>(edit_distance(name, architecture.name)) / 1000.0;
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
  RegistryEntry* same_name = nullptr;
  for (RegistryEntry& known : entries()) {
    const std::string_view both = class_of_both(*known.architecture, *entry.architecture);
    if (both.empty() || known.origin.empty()) continue;
    return invalid("custom architectures " + known.origin + " and " + entry.origin + " are both for " +
                   std::string(both) + ": give one of them only");
  }
  for (RegistryEntry& known : entries()) {
    const std::string_view both = class_of_both(*known.architecture, *entry.architecture);
    if (both.empty()) continue;
    TENON_LOG_WARN("custom architecture {} from {} overrides the built-in one for {}", name, entry.origin, both);
    if (known.architecture->name == name) same_name = &known;
  }
  if (same_name != nullptr) {
    *same_name = std::move(entry);
    return {};
  }
  TENON_LOG_INFO("custom architecture {} from {}", name, entry.origin);
  entries().push_back(std::move(entry));
  return {};
}

RegistryEntry nearest_architecture(std::string_view name, const Json& config) {
  const RegistryEntry* nearest = nullptr;
  const std::optional<Task> task = task_of(name);
  std::pair<bool, double> best;
  for (const RegistryEntry& entry : registry()) {
    if (!entry.origin.empty()) continue;
    // An encoder's equations are no start for a decoder, nor the other way round, however alike the configs.
    const std::pair near{!task || entry.architecture->task == *task, resemblance(*entry.architecture, name, config)};
    if (nearest == nullptr || near > best) nearest = &entry, best = near;
  }
  TENON_CHECK(nearest != nullptr, "registry.def has no architecture that is not overridden");
  return *nearest;
}

std::string class_of(const Json& config) {
  const auto it = config.is_object() ? config.find("architectures") : config.end();
  const bool says = it != config.end() && it->is_array() && !it->empty() && it->front().is_string();
  return says ? it->front().get<std::string>() : std::string();
}

Result<RegistryEntry> find_architecture(std::string_view name, const Json& config, std::string_view path) {
  // A plug-in goes before what is built in, and the very name before one of `also`.
  const auto rank = [&](const RegistryEntry& entry) {
    if (!serves(*entry.architecture, name)) return 0;
    return (entry.origin.empty() ? 1 : 3) + (entry.architecture->name == name ? 1 : 0);
  };
  const auto found = std::ranges::max_element(registry(), {}, rank);
  if (found != registry().end() && rank(*found) > 0) return *found;
  const RegistryEntry nearest = nearest_architecture(name, config);
  return unsupported("architecture " + std::string(name) + " is not known; known are " + known_names() + ". Of these " +
                     std::string(nearest.architecture->name) +
                     " is the nearest to its config: start a new architecture by `tenon new " + std::string(name) +
                     " --from " + std::string(nearest.family) + " --config " + std::string(path) +
                     "`, and give its folder by --custom-architectures");
}

Result<RegistryEntry> find_gguf_architecture(std::string_view general_architecture) {
  std::vector<std::string_view> names;
  const RegistryEntry* found = nullptr;
  for (const RegistryEntry& entry : registry()) {
    for (const std::string_view name : entry.architecture->gguf.architectures) {
      if (name == general_architecture && (found == nullptr || !entry.origin.empty()))
        found = &entry;  // plug-ins first
      // Some names stand for several classes.
      if (std::ranges::find(names, name) == names.end()) names.push_back(name);
    }
  }
  if (found != nullptr) return *found;
  std::string known;
  for (const std::string_view name : names) known += (known.empty() ? "" : ", ") + std::string(name);
  return unsupported("GGUF architecture \"" + std::string(general_architecture) + "\" is not known; known are " +
                     known);
}

}  // namespace tenon::model
