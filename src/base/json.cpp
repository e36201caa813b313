#include "base/json.h"

#include <simdjson.h>

#include <algorithm>
#include <vector>

#include "base/file.h"

namespace tenon {
namespace {

// The line and column of a byte offset, as an editor counts them.
std::string place(std::string_view text, std::size_t offset) {
  offset = std::min(offset, text.size());
  const auto before = text.substr(0, offset);
  const auto line = std::count(before.begin(), before.end(), '\n') + 1;
  const auto start = before.rfind('\n');
  const auto column = offset - (start == std::string_view::npos ? 0 : start + 1) + 1;
  return "line " + std::to_string(line) + ", column " + std::to_string(column);
}

// What the parser says, without all of the text that it had read of a string or of white space: that may be megabytes.
std::string shortened(std::string detail) {
  constexpr std::size_t kLongest = 100;
  const auto read = detail.find("; last read: ");
  const auto end = detail.rfind('\'');
  if (read != detail.npos && end != detail.npos && end > read + kLongest) detail.erase(read, end + 1 - read);
  return detail;
}

// Nesting is bounded before any recursive parser sees the text.
bool too_deep(std::string_view text, int max_depth) {
  int depth = 0;
  bool in_string = false;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (in_string) {
      if (c == '\\')
        ++i;
      else if (c == '"')
        in_string = false;
    } else if (c == '"') {
      in_string = true;
    } else if (c == '[' || c == '{') {
      if (++depth > max_depth) return true;
    } else if (c == ']' || c == '}') {
      --depth;
    }
  }
  return false;
}

}  // namespace

Result<Json> parse_json(std::string_view text, std::string_view what, JsonLimits limits) {
  const std::string source(what);
  if (text.size() > limits.max_bytes) {
    return invalid(source + ": " + std::to_string(text.size()) + " bytes of JSON exceed the limit of " +
                   std::to_string(limits.max_bytes));
  }
  if (too_deep(text, limits.max_depth)) {
    return invalid(source + ": JSON is nested deeper than " + std::to_string(limits.max_depth) + " levels");
  }
  if (!simdjson::validate_utf8(text.data(), text.size())) return invalid(source + ": JSON is not valid UTF-8");
  // Json::parse takes a NUL for the end of the text, and would pass over what follows it.
  if (const auto nul = text.find('\0'); nul != text.npos) {
    return invalid(source + ": not valid JSON at " + place(text, nul) + ": a NUL byte");
  }
  try {
    return Json::parse(text);
  } catch (const Json::parse_error& e) {
    std::string detail = e.what();  // "[json.exception.parse_error.101] parse error at line 1, column 2: <detail>"
    if (const auto at = detail.find("syntax error"); at != std::string::npos) detail = detail.substr(at);
    return invalid(source + ": not valid JSON at " + place(text, e.byte ? e.byte - 1 : 0) + ": " + shortened(detail));
  } catch (const Json::exception& e) {
    return invalid(source + ": not valid JSON: " + e.what());
  }
}

Result<Json> read_json_file(const std::string& path, JsonLimits limits) {
  TENON_ASSIGN(const std::string text, read_file(path, limits.max_bytes));
  return parse_json(text, path, limits);
}

std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = std::exchange(row[0], i);
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t substitute = diagonal + (a[i - 1] != b[j - 1]);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, substitute});
    }
  }
  return row[b.size()];
}

}  // namespace tenon
