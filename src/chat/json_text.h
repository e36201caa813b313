// JSON in the text of a reply, which may be anything.
#pragma once

#include <optional>
#include <string_view>

#include "base/json.h"

namespace tenon::chat {

inline constexpr int kMaxCallDepth = 64;

/// None: it is no JSON, or too deep.
inline std::optional<Json> json_of(std::string_view text) {
  auto json = parse_json(text, "a tool call", {.max_bytes = text.size(), .max_depth = kMaxCallDepth});
  return json ? std::optional(std::move(*json)) : std::nullopt;
}

/// Where in a JSON text that comes in pieces one is.
class JsonNesting {
 public:
  void push(char c) {
    if (in_string_) {
      in_string_ = escaped_ || c != '"';
      escaped_ = !escaped_ && c == '\\';
    } else if (c == '"') {
      in_string_ = true;
    } else if (c == '{' || c == '[') {
      ++depth_;
    } else if (c == '}' || c == ']') {
      --depth_;
    }
  }
  bool in_string() const { return in_string_; }
  /// Objects and arrays that are open.
  int depth() const { return depth_; }

 private:
  int depth_ = 0;
  bool in_string_ = false, escaped_ = false;
};

}  // namespace tenon::chat
