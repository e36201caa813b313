// Finds markers in a text that comes in pieces.
#pragma once

#include <algorithm>
#include <initializer_list>
#include <string>
#include <string_view>

namespace tenon::chat {

struct Marker {
  std::size_t at = std::string::npos;
  std::string_view text = {};  ///< empty: none was found
};

/// The first of `markers` in `text`.
inline Marker find_marker(std::string_view text, std::initializer_list<std::string_view> markers) {
  Marker first;
  for (const auto marker : markers) {
    if (const std::size_t at = text.find(marker); at < first.at) first = {at, marker};
  }
  return first;
}

/// The length of the longest end of `text` that begins one of `markers`.
inline std::size_t begun_marker(std::string_view text, std::initializer_list<std::string_view> markers) {
  std::size_t longest = 0;
  for (const auto marker : markers) {
    for (std::size_t n = std::min(marker.size() - 1, text.size()); n > longest; --n) {
      if (text.ends_with(marker.substr(0, n))) longest = n;
    }
  }
  return longest;
}

constexpr std::string_view kWhitespace = " \t\r\n";

inline std::string_view trimmed(std::string_view text) {
  const std::size_t begin = text.find_first_not_of(kWhitespace);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kWhitespace) - begin + 1);
}

}  // namespace tenon::chat
