// JSON: nlohmann's ordered_json (key order matters in tool prompts); outside text is checked by simdjson first.
#pragma once

#include <cstddef>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "base/json_fwd.h"
#include "base/result.h"

namespace tenon {

struct JsonLimits {
  std::size_t max_bytes = std::size_t{256} << 20;
  int max_depth = 128;
};

/// Parses outside text: size, nesting depth and UTF-8 are checked; the error says where. `what` names the source.
Result<Json> parse_json(std::string_view text, std::string_view what, JsonLimits limits = {});

/// Reads and parses a file.
Result<Json> read_json_file(const std::string& path, JsonLimits limits = {});

/// The nearest of `known` to `name` by edit distance, for "did you mean"; "" where more than a third of `name` would
/// have to change.
template <class Range>
std::string nearest_name(std::string_view name, const Range& known);

/// Levenshtein distance.
std::size_t edit_distance(std::string_view a, std::string_view b);

template <class Range>
std::string nearest_name(std::string_view name, const Range& known) {
  std::string best;
  std::size_t best_distance = (name.size() + 1) / 3 + 1;
  for (const auto& candidate : known) {
    const std::size_t distance = edit_distance(name, candidate);
    if (distance < best_distance) best_distance = distance, best = candidate;
  }
  return best;
}

}  // namespace tenon
