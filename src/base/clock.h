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

}  // namespace tenon
