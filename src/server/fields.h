// Reads the fields of a JSON body, and names what is wrong with them.
#pragma once

#include <cmath>
#include <cstdint>
#include <initializer_list>
#include <limits>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"

namespace tenon::server {

inline std::unexpected<Error> wrong(const char* name, const std::string& what) {
  return invalid("'" + std::string(name) + "' " + what, name);
}

/// A whole number, also one that is written as a float (2.0), as the JSON writers of some languages do; none: it is no
/// such number, or beyond int64.
inline std::optional<std::int64_t> whole_number(const Json& value) {
  if (value.is_number_float()) {
    const double x = value.get<double>();
    if (!(x >= -0x1p63 && x < 0x1p63) || x != std::trunc(x)) return std::nullopt;
    return static_cast<std::int64_t>(x);
  }
  if (!value.is_number_integer()) return std::nullopt;
  // A uint64 beyond int64 would wrap.
  if (value.is_number_unsigned() && value.get<std::uint64_t>() > std::uint64_t{INT64_MAX}) return std::nullopt;
  return value.get<std::int64_t>();
}

// Reads a body's fields; null counts as absent, as in OpenAI's clients.
class Fields {
 public:
  explicit Fields(const Json& body, bool allow_unknown = false) : body_(body), allow_unknown_(allow_unknown) {}
  bool allow_unknown() const { return allow_unknown_; }  ///< for the objects among them too

  const Json* find(const char* name) {
    known_.insert(name);
    const auto it = body_.find(name);
    return it == body_.end() || it->is_null() ? nullptr : &*it;
  }

  Status number(const char* name, double low, double high, float& out) {
    const Json* value = find(name);
    if (!value) return {};
    if (!value->is_number()) return wrong(name, "must be a number");
    const double x = value->get<double>();
    if (!(x >= low && x <= high)) {
      return wrong(name, "must be between " + trimmed(low) + " and " + trimmed(high) + ", not " + value->dump());
    }
    out = static_cast<float>(x);
    return {};
  }

  template <class T>
  Status integer(const char* name, std::int64_t low, std::int64_t high, std::optional<T>& out) {
    T value{};
    TENON_TRY(integer(name, low, high, value));
    if (find(name)) out = value;
    return {};
  }

  template <class T>
  Status integer(const char* name, std::int64_t low, std::int64_t high, T& out) {
    const Json* value = find(name);
    if (!value) return {};
    const auto x = whole_number(*value);
    const bool is_cut = value->is_number_float() && value->get<double>() != std::trunc(value->get<double>());
    if (!value->is_number() || is_cut) return wrong(name, "must be an integer");
    if (!x || *x < low || *x > high) {
      return wrong(
          name, "must be between " + std::to_string(low) + " and " + std::to_string(high) + ", not " + value->dump());
    }
    out = static_cast<T>(*x);
    return {};
  }

  Status boolean(const char* name, std::optional<bool>& out) {
    bool value = false;
    TENON_TRY(boolean(name, value));
    if (find(name)) out = value;
    return {};
  }

  Status boolean(const char* name, bool& out) {
    const Json* value = find(name);
    if (!value) return {};
    if (!value->is_boolean()) return wrong(name, "must be true or false");
    out = value->get<bool>();
    return {};
  }

  /// Accepts only what changes nothing: a parameter that is not supported yet is refused, never ignored.
  Status only(const char* name, std::initializer_list<Json> neutral) {
    const Json* value = find(name);
    if (!value) return {};
    for (const Json& n : neutral) {
      if (*value == n) return {};
    }
    return unsupported("'" + std::string(name) + "' is not supported yet; leave it out", name);
  }

  Status no_others() const {
    if (allow_unknown_) return {};
    for (const auto& [key, value] : body_.items()) {
      if (known_.contains(key)) continue;
      const std::string near = nearest_name(key, known_);
      return invalid("unknown parameter '" + key + "'" + (near.empty() ? "" : "; did you mean '" + near + "'?"), key);
    }
    return {};
  }

 private:
  static std::string trimmed(double x) {
    return x == std::floor(x) ? std::to_string(static_cast<long long>(x)) : std::to_string(x);
  }
  const Json& body_;
  const bool allow_unknown_;
  std::set<std::string> known_;
};

inline Status parse_ids(const Json& list, const char* name, std::vector<std::int32_t>& out) {
  for (const Json& id : list) {
    const auto number = whole_number(id);
    if (!number || *number < 0 || *number > std::numeric_limits<std::int32_t>::max()) {
      return wrong(name, "must hold token ids: integers that are not negative");
    }
    out.push_back(static_cast<std::int32_t>(*number));
  }
  return {};
}

}  // namespace tenon::server
