#include "scaffold/differences.h"

#include <algorithm>
#include <set>

#include "scaffold/tiny_config.h"

namespace tenon::scaffold {
namespace {

// The object that holds the last part of "a.b.c", and that part; null if an object on the way is not there.
std::pair<Json*, std::string> parent_of(Json& config, const std::string& path) {
  Json* at = &config;
  std::string rest = path;
  for (std::size_t dot = rest.find('.'); dot != std::string::npos; dot = rest.find('.')) {
    const std::string part = rest.substr(0, dot);
    if (!at->is_object() || !at->contains(part)) return {nullptr, rest};
    at = &(*at)[part];
    rest = rest.substr(dot + 1);
  }
  return {at->is_object() ? at : nullptr, rest};
}

bool reads(const model::ModelConfig& config, const std::string& field) {
  return std::ranges::any_of(config.fields, [&](const model::ConfigField& known) {
    return known.name == field || known.name.starts_with(field + ".");
  });
}

// A rope's field that an entry of rope_parameters has too, stated or not, counts there.
bool is_of_an_entry(const model::ModelConfig& config, const std::string& field) {
  return std::ranges::any_of(config.fields, [&](const model::ConfigField& known) {
    return known.name.starts_with("rope_") && known.name.ends_with("." + field);
  });
}

void refuse_object(Json original, Json& config, const std::string& path, const std::string& reason,
                   std::vector<Difference>& dropped) {
  std::erase_if(dropped, [&](const Difference& difference) { return difference.field.starts_with(path + "."); });
  const auto [there, name] = parent_of(original, path);
  const Json value = there != nullptr ? there->value(name, Json()) : Json();
  dropped.push_back({Difference::Kind::kRefused, path, value, reason});
  if (const auto [object, key] = parent_of(config, path); object != nullptr) object->erase(key);
}

std::string shown(const Json& value) {
  std::string text = value.dump(-1, ' ', false, Json::error_handler_t::replace);
  return text.size() > 60 ? text.substr(0, 57) + "..." : text;
}

}  // namespace

Result<Understood> understand(const model::Architecture& architecture, const Json& config) {
  const Json original = with_text_config_at_top(config);
  Understood result{original, {}};
  std::vector<Difference> dropped;
  std::set<std::string> filled;
  constexpr std::size_t kMost = 1000;
  while (dropped.size() < kMost) {
    const auto parsed = model::parse_config(architecture, result.config);
    if (parsed) {
      for (Difference& difference : dropped) {
        // What is read after all was refused for its value.
        const bool read = reads(**parsed, difference.field);
        if (difference.kind == Difference::Kind::kNotRead && read) difference.kind = Difference::Kind::kRefused;
      }
      for (const model::ConfigField& field : (*parsed)->fields) {
        const bool known = std::ranges::any_of(dropped, [&](const Difference& d) { return d.field == field.name; });
        if (!field.defaulted || known || field.value->is_null() || is_of_an_entry(**parsed, field.name)) continue;
        result.differences.push_back({Difference::Kind::kDefaulted, field.name, *field.value, {}});
      }
      result.differences.insert(result.differences.begin(), dropped.begin(), dropped.end());
      return result;
    }
    const std::string field = parsed.error().param;
    const auto [object, name] = parent_of(result.config, field);
    if (field.empty() || object == nullptr) break;
    const auto it = object->find(name);
    if (it != object->end() && !it->is_null()) {
      dropped.push_back({Difference::Kind::kNotRead, field, *it, parsed.error().message});
      object->erase(name);
      continue;
    }
    const bool again = std::ranges::any_of(dropped, [&](const Difference& d) { return d.field == field; });
    const std::size_t dot = field.rfind('.');
    if (!again) {
      dropped.push_back({Difference::Kind::kMissing, field, nullptr, parsed.error().message});
      (*object)[name] = tiny_size(name).value_or(2);
    } else if (dot != std::string::npos) {
      // Neither with nor without a field of it: the object itself is refused.
      refuse_object(original, result.config, field.substr(0, dot), parsed.error().message, dropped);
    } else if (const auto size = tiny_size(name); size && filled.insert(field).second) {
      (*object)[name] = *size;  // the default is refused as the value was
    } else {
      break;
    }
  }
  const auto parsed = model::parse_config(architecture, result.config);
  return wrap(parsed.error(), std::string(architecture.name) + " cannot be a start for this config");
}

std::string to_text(const Difference& difference, std::string_view family) {
  const std::string who(family), field = Json(difference.field).dump(), value = shown(difference.value);
  std::string text = "- " + field;
  switch (difference.kind) {
    case Difference::Kind::kNotRead:
      text += " = " + value + " is not read by " + who + ": read it, or accept it with the reason why it has no effect";
      break;
    case Difference::Kind::kRefused:
      text += " = " + value + " is refused by " + who + ": " + difference.reason;
      break;
    case Difference::Kind::kMissing:
      text += " is not there, and " + who + " requires it";
      break;
    case Difference::Kind::kDefaulted:
      text += " is not there: " + who + " takes " + value;
      break;
  }
  for (char& c : text) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f || c == '\\') c = '?';
  }
  return text;
}

}  // namespace tenon::scaffold
