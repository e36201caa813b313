// The buckets of T5's relative position bias (Raffel et al. 2020, section 2.1).
#pragma once

#include <algorithm>
#include <cmath>
#include <cstdint>

namespace tenon::graph {

/// The bucket of a key that lies `distance` positions after its query (before it, where negative), for attention in
/// both directions: half of the buckets for each direction; half of those for a distance of their own each, the others
/// grow with its logarithm up to max_distance and hold all that lies beyond. In float32, as the references do it: a
/// border between buckets is where rounding puts it.
inline std::int64_t relative_bucket(std::int64_t distance, std::int64_t num_buckets, std::int64_t max_distance) {
  const std::int64_t half = num_buckets / 2, exact = half / 2, away = std::abs(distance);
  const std::int64_t direction = distance > 0 ? half : 0;
  if (away < exact) return direction + away;
  const float ratio = std::log(static_cast<float>(away) / static_cast<float>(exact));
  const double whole = std::log(static_cast<double>(max_distance) / static_cast<double>(exact));
  const float steps = ratio / static_cast<float>(whole) * static_cast<float>(half - exact);
  return direction + std::min(exact + static_cast<std::int64_t>(steps), half - 1);
}

}  // namespace tenon::graph
