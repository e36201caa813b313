#include "grammar/lark.h"

#include <algorithm>
#include <cmath>

#include "base/json.h"

namespace tenon::grammar {
namespace {

// Between the parts of a JSON text: a space, or a line break and an indentation. Bounded, because small models write
// nothing else where they may.
constexpr const char* kWhitespace = R"(\x20|\x0D?\x0A(\x20{0,32}|\x09{0,16}))";

Status check_patterns(const Json& schema) {
  if (!schema.is_structured()) return {};
  for (const auto& [key, value] : schema.items()) {
    if (schema.is_object() && key == "pattern" && value.is_string()) {
      TENON_TRY(check_regex(value.get_ref<const std::string&>()));
    }
    if (schema.is_object() && key == "patternProperties" && value.is_object()) {
      for (const auto& [pattern, unused] : value.items()) TENON_TRY(check_regex(pattern));
    }
    TENON_TRY(check_patterns(value));
  }
  return {};
}

// A format that JSON Schema defines. Others, of OpenAPI or pydantic (int64, binary, path), tell a program what to do
// with a text, but not what the text is like.
bool is_defined(const Json& format) {
  constexpr std::string_view kFormats[] = {"date-time",
                                           "date",
                                           "time",
                                           "duration",
                                           "email",
                                           "idn-email",
                                           "hostname",
                                           "ipv4",
                                           "ipv6",
                                           "uri",
                                           "iri",
                                           "uri-reference",
                                           "idn-hostname",
                                           "iri-reference",
                                           "uuid",
                                           "uri-template",
                                           "json-pointer",
                                           "regex",
                                           "relative-json-pointer"};
  return std::ranges::find(kFormats, format.get_ref<const std::string&>()) != std::end(kFormats);
}

// The schema as the parser of grammars takes it: its limits are integers (2.0 is one), and of formats it refuses those
// that it does not know.
void simplify(Json& schema) {
  if (!schema.is_structured()) return;
  if (schema.is_object()) {
    if (const auto format = schema.find("format");
        format != schema.end() && format->is_string() && !is_defined(*format))
      schema.erase(format);
    for (const char* limit : {"minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties"}) {
      const auto found = schema.find(limit);
      if (found == schema.end() || !found->is_number_float()) continue;
      const double x = found->get<double>();
      if (x >= 0 && x <= 0x1p53 && x == std::trunc(x)) *found = static_cast<std::int64_t>(x);
    }
  }
  for (auto& [key, value] : schema.items()) {
    const bool is_value = key == "const" || key == "enum" || key == "default" || key == "examples";
    if (!is_value || !schema.is_object()) simplify(value);
  }
}

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

Status check_regex(std::string_view regex) {
  // It would escape the slash that ends the expression, which then was another one.
  const std::size_t last = regex.find_last_not_of('\\');
  const std::size_t backslashes = last == std::string_view::npos ? regex.size() : regex.size() - last - 1;
  if (backslashes % 2 == 1) return invalid("a regular expression ends in a backslash that escapes nothing");
  if (regex.size() <= kMaxRegex) return {};
  return invalid("a regular expression has " + std::to_string(regex.size()) + " bytes, but at most " +
                 std::to_string(kMaxRegex) + " are allowed");
}

Result<std::string> bounded_schema(std::string_view schema) {
  TENON_ASSIGN(Json json, parse_json(schema, "the schema", {.max_bytes = kMaxSource, .max_depth = kMaxSchemaDepth}));
  if (json == false) return invalid("the schema is false: no value satisfies it");
  if (json == true) json = Json::object();
  if (!json.is_object()) return invalid("a JSON schema is an object, true or false");
  TENON_TRY(check_patterns(json));
  simplify(json);
  json["x-guidance"] = Json{{"whitespace_pattern", kWhitespace}};
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

Result<std::string> lark_expression(const Source& source) {
  const auto named = [&](Error error) {
    error.param = source.param;
    return std::unexpected(std::move(error));
  };
  if (source.kind == Kind::kLark) return "%lark {\n" + source.text + "\n}";
  if (source.kind == Kind::kRegex) {
    if (auto checked = check_regex(source.text); !checked) return named(std::move(checked).error());
    return slashed(source.text);
  }
  auto schema = bounded_schema(source.text);
  if (!schema) return named(std::move(schema).error());
  return "%json " + *schema;
}

}  // namespace tenon::grammar
