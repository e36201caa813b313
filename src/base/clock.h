// Time, injected where a test must control it (scheduler/, server/).
#pragma once

#include <chrono>
#include <functional>

namespace tenon {

using TimePoint = std::chrono::steady_clock::time_point;
using Clock = std::function<TimePoint()>;

inline Clock steady_clock() {
  return [] { return std::chrono::steady_clock::now(); };
}
inline double seconds_between(TimePoint begin, TimePoint end) {
  return std::chrono::duration<double>(end - begin).count();
}
inline TimePoint later(TimePoint begin, double seconds) {
  // A duration that the clock cannot count is as good as a century.
  constexpr double kMost = 100.0 * 365 * 24 * 3600;
  const std::chrono::duration<double> wait(seconds < kMost ? seconds : kMost);
  return begin + std::chrono::duration_cast<std::chrono::steady_clock::duration>(wait);
}

}  // namespace tenon
