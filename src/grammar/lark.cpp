#include "grammar/lark.h"

#include "tenon_rust.h"

namespace tenon::grammar {
namespace {

// A regular expression between slashes.
std::string slashed(std::string_view regex) {
  std::string out = "/";
  for (std::size_t i = 0; i < regex.size(); ++i) {
    const char c = regex[i];
    if (c == '\\' && i + 1 < regex.size()) {
      out += c;
      out += regex[++i];
    } else if (c == '/') {
      out += "\\/";
    } else if (c == '\n') {
      out += "\\n";
    } else if (c == '\r') {
      out += "\\r";
    } else {
      out += c;
    }
  }
  return regex.empty() ? "\"\"" : out + "/";
}

}  // namespace

std::string lark_json(std::string_view schema) {
  Json json = Json::parse(schema, nullptr, false);
  if (json.is_boolean()) json = json.get<bool>() ? Json::object() : Json{{"not", Json::object()}};
  if (json.is_object()) json["x-guidance"] = Json{{"whitespace_pattern", TENON_GRAMMAR_WHITESPACE}};
  return "%json " + json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string lark_expression(const Source& source) {
  switch (source.kind) {
    case Kind::kJsonSchema:
      return lark_json(source.text);
    case Kind::kRegex:
      return slashed(source.text);
    case Kind::kLark:
      return "%lark {\n" + source.text + "\n}";
  }
  return {};
}

}  // namespace tenon::grammar
