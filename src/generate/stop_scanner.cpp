#include "generate/stop_scanner.h"

#include <algorithm>
#include <utility>

namespace tenon::generate {

Piece StopScanner::push(std::string_view text) {
  if (stops_.empty()) return {std::string(text), false};
  held_ += text;
  std::size_t begin = std::string::npos, end = std::string::npos;
  for (const auto& stop : stops_) {
    const std::size_t found = held_.find(stop);
    if (found == std::string::npos) continue;
    if (found + stop.size() < end || (found + stop.size() == end && found < begin)) {
      begin = found;
      end = found + stop.size();
    }
  }
  if (end != std::string::npos) {
    std::string stop = held_.substr(begin, end - begin);
    held_.resize(include_ ? end : begin);
    return {std::exchange(held_, {}), true, std::move(stop)};
  }
  std::size_t keep = 0;  // the longest end of the text that begins a stop string
  for (const auto& stop : stops_) {
    for (std::size_t n = std::min(stop.size() - 1, held_.size()); n > keep; --n) {
      if (held_.ends_with(std::string_view(stop).substr(0, n))) keep = n;
    }
  }
  std::string shown = held_.substr(0, held_.size() - keep);
  held_.erase(0, shown.size());
  return {std::move(shown), false};
}

std::string StopScanner::flush() { return std::exchange(held_, {}); }

}  // namespace tenon::generate
