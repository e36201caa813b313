#include "server/structured.h"

#include <algorithm>

#include "grammar/closed_schema.h"
#include "grammar/lark.h"
#include "server/fields.h"
#include "server/openai.h"

namespace tenon::server {
namespace {

using grammar::Kind;
using grammar::Source;

constexpr std::size_t kMaxChoices = 4096;
// Bytes of a client's grammar. Its terminals become regexes, for which the work grows faster than their size.
constexpr std::size_t kMaxGrammar = std::size_t{32} << 10;

std::string text_of(const Json& json) { return json.dump(-1, ' ', false, Json::error_handler_t::replace); }

bool is_name(std::string_view name) {
  return !name.empty() && name.size() <= 64 && std::ranges::all_of(name, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' || c == '-' ||
           c == '.';
  });
}

Source schema_source(const Json& schema, const char* param) {
  return {Kind::kJsonSchema, text_of(grammar::closed_schema(schema)), param};
}

// A schema as an object, or as vLLM also takes it: the text of one.
Result<Source> json_source(const Json& value, const char* param) {
  if (value.is_object() || value.is_boolean()) return schema_source(value, param);
  if (!value.is_string()) return wrong(param, "must be a JSON schema: an object, or the text of one");
  const auto& text = value.get_ref<const std::string&>();
  const auto parsed = parse_json(text, "the schema", {.max_bytes = grammar::kMaxSource, .max_depth = 64});
  if (!parsed) return wrong(param, "is no JSON schema: " + parsed.error().message);
  if (!parsed->is_object() && !parsed->is_boolean()) return wrong(param, "must be the text of a JSON object");
  return schema_source(*parsed, param);
}

Result<Source> regex_source(const Json& value, const char* param) {
  if (!value.is_string() || value.get_ref<const std::string&>().empty()) {
    return wrong(param, "must be a regular expression, a string that is not empty");
  }
  return Source{Kind::kRegex, value, param};
}

Result<Source> grammar_source(const Json& value, const char* param) {
  if (!value.is_string() || value.get_ref<const std::string&>().empty()) {
    return wrong(param, "must be a grammar in Lark or GBNF notation, a string that is not empty");
  }
  const auto& text = value.get_ref<const std::string&>();
  if (text.size() > kMaxGrammar) {
    return wrong(param, "has " + std::to_string(text.size()) + " bytes, but at most " + std::to_string(kMaxGrammar) +
                            " are allowed for a grammar");
  }
  if (!grammar::is_gbnf(text)) return Source{Kind::kLark, text, param};
  auto lark = grammar::lark_of_gbnf(text);
  if (!lark) return wrong(param, "cannot be used: " + lark.error().message);
  return Source{Kind::kLark, *std::move(lark), param};
}

Result<Source> choice_source(const Json& value, const char* param) {
  const auto is_text = [](const Json& one) { return one.is_string() && !one.get_ref<const std::string&>().empty(); };
  if (!value.is_array() || value.empty() || value.size() > kMaxChoices || !std::ranges::all_of(value, is_text)) {
    return wrong(param, "must be an array of 1 to " + std::to_string(kMaxChoices) + " strings that are not empty");
  }
  // One terminal: of alternatives in a rule the parser takes no more than 2,000.
  std::string lark = "start: CHOICE\nCHOICE: " + text_of(value[0]);
  for (std::size_t i = 1; i < value.size(); ++i) lark += " | " + text_of(value[i]);
  return Source{Kind::kLark, std::move(lark), param};
}

// References of a schema that becomes a part of another one, at `place`.
void move_references(Json& schema, std::string_view place) {
  if (!schema.is_structured()) return;
  for (auto& [key, value] : schema.items()) {
    if (key == "const" || key == "enum" || key == "default" || key == "examples") continue;  // values, no schemas
    if (key == "$ref" && value.is_string() && value.get_ref<const std::string&>().starts_with('#')) {
      const std::string path = value.get<std::string>().substr(1);
      value = "#" + std::string(place) + (path == "/" ? "" : path);
    } else {
      move_references(value, place);
    }
  }
}

// {"name": …, "parameters": …}, in this order.
Json call_schema(const std::string& name, Json parameters) {
  move_references(parameters, "/properties/parameters");
  return {{"type", "object"},
          {"properties", {{"name", {{"const", name}}}, {"parameters", std::move(parameters)}}},
          {"required", {"name", "parameters"}},
          {"additionalProperties", false}};
}

Source any_object(const char* param) { return {Kind::kJsonSchema, R"({"type": "object"})", param}; }

Result<std::optional<Source>> response_format(const Json& format, bool allow_unknown) {
  const char* param = "response_format";
  if (!format.is_object()) return wrong(param, "must be an object with a 'type'");
  Fields fields(format, allow_unknown);
  const Json* type = fields.find("type");
  if (!type || !type->is_string()) return wrong(param, "must have a 'type'");
  if (*type == "structural_tag") return unsupported("'response_format' of type structural_tag is not supported", param);
  if (*type != "text" && *type != "json_object" && *type != "json_schema") {
    return wrong(param, "must have the 'type' text, json_object or json_schema, not " + text_of(*type));
  }
  const Json* described = fields.find("json_schema");
  if (const auto others = fields.no_others(); !others) return wrong(param, "has an " + others.error().message);
  if (described && *type != "json_schema") return wrong(param, "may have a 'json_schema' only with that 'type'");
  if (*type == "text") return std::nullopt;
  if (*type == "json_object") return any_object(param);
  if (!described || !described->is_object()) return wrong(param, "must have 'json_schema', an object");
  Fields inner(*described, allow_unknown);
  const Json* name = inner.find("name");
  if (!name || !name->is_string() || name->get_ref<const std::string&>().empty()) {
    return wrong(param, "must have a 'json_schema' with a 'name'");
  }
  if (const Json* text = inner.find("description"); text && !text->is_string()) {
    return wrong(param, "has a 'description' that is no string");
  }
  bool strict = false;  // the reply follows the schema in either case
  if (!inner.boolean("strict", strict)) return wrong(param, "has a 'strict' that is neither true nor false");
  const Json* schema = inner.find("schema");
  if (schema && !schema->is_object()) return wrong(param, "has a 'schema' that is no object");
  if (const auto others = inner.no_others(); !others) return wrong(param, "has an " + others.error().message);
  return schema ? schema_source(*schema, param) : any_object(param);
}

// One of the ways to say it, and what reads its value.
struct Way {
  const char* name;
  Result<Source> (*read)(const Json&, const char*);
};
constexpr Way kInner[] = {
    {"json", json_source}, {"regex", regex_source}, {"choice", choice_source}, {"grammar", grammar_source}};
constexpr Way kGuided[] = {{"guided_json", json_source},
                           {"guided_regex", regex_source},
                           {"guided_choice", choice_source},
                           {"guided_grammar", grammar_source}};

Result<std::optional<Source>> structured_outputs(const Json& value, bool allow_unknown) {
  const char* param = "structured_outputs";
  if (!value.is_object()) return wrong(param, "must be an object");
  Fields fields(value, allow_unknown);
  std::optional<Source> out;
  const auto keep = [&](Source source) -> Status {
    if (out) return wrong(param, "must have only one of json, regex, choice, grammar and json_object");
    out = std::move(source);
    return {};
  };
  for (const Way& way : kInner) {
    if (const Json* one = fields.find(way.name)) {
      auto source = way.read(*one, way.name);
      if (!source) return wrong(param, "is wrong: " + source.error().message);
      source->param = param;
      TENON_TRY(keep(*std::move(source)));
    }
  }
  bool object = false;
  if (!fields.boolean("json_object", object)) return wrong(param, "has a 'json_object' that is neither true nor false");
  if (object) TENON_TRY(keep(any_object(param)));
  TENON_TRY(fields.only("disable_additional_properties", {false, true}));  // see closed_schema()
  for (const char* name : {"disable_fallback", "disable_any_whitespace", "whitespace_pattern"}) {
    if (!fields.only(name, {false, ""})) {
      return unsupported("'structured_outputs' with '" + std::string(name) + "' is not supported", param);
    }
  }
  if (!fields.only("structural_tag", {})) {
    return unsupported("'structured_outputs' with 'structural_tag' is not supported", param);
  }
  if (const auto others = fields.no_others(); !others) return wrong(param, "has an " + others.error().message);
  if (!out) return wrong(param, "must have one of json, regex, choice, grammar and json_object");
  return out;
}

}  // namespace

Status parse_structure(Fields& fields, std::optional<Source>& out) {
  const auto keep = [&](const char* name, std::optional<Source> source) -> Status {
    if (!source) return {};
    if (out) return wrong(name, "cannot be given together with '" + out->param + "': the reply has one form");
    out = std::move(source);
    return {};
  };
  if (const Json* format = fields.find("response_format")) {
    TENON_ASSIGN(auto source, response_format(*format, fields.allow_unknown()));
    TENON_TRY(keep("response_format", std::move(source)));
  }
  if (const Json* structured = fields.find("structured_outputs")) {
    TENON_ASSIGN(auto source, structured_outputs(*structured, fields.allow_unknown()));
    TENON_TRY(keep("structured_outputs", std::move(source)));
  }
  for (const Way& way : kGuided) {
    if (const Json* value = fields.find(way.name)) {
      TENON_ASSIGN(auto source, way.read(*value, way.name));
      TENON_TRY(keep(way.name, std::move(source)));
    }
  }
  TENON_TRY(fields.only("guided_decoding_backend", {}));
  return fields.only("guided_whitespace_pattern", {});
}

Result<std::vector<chat::CallRule>> call_rules(const Json& tools, bool whole) {
  std::vector<chat::CallRule> out;
  for (const Json& tool : tools) {
    const Json& function = tool["function"];
    const std::string name = function["name"];
    if (!is_name(name)) {
      return wrong("tools", "has the function name " + text_of(name) +
                                "; names of letters, digits, '_', '-' and '.', at most 64, are needed for calls whose "
                                "arguments must follow a schema");
    }
    Json schema = {{"type", "object"}, {"properties", Json::object()}, {"additionalProperties", false}};
    if (const auto parameters = function.find("parameters"); parameters != function.end() && !parameters->is_null()) {
      if (!parameters->empty()) schema = *parameters;
      if (!schema.contains("type")) schema["type"] = "object";
      if (schema["type"] != "object") {
        return wrong("tools", "has the function '" + name + "' whose 'parameters' are not of \"type\": \"object\"");
      }
    }
    schema = grammar::closed_schema(std::move(schema));
    TENON_ASSIGN(std::string arguments, grammar::lark_expression({Kind::kJsonSchema, text_of(schema), "tools"}));
    out.push_back({.name = name, .arguments = std::move(arguments)});
    if (!whole) continue;
    const Source call{Kind::kJsonSchema, text_of(call_schema(name, std::move(schema))), "tools"};
    TENON_ASSIGN(out.back().whole, grammar::lark_expression(call));
  }
  return out;
}

Result<std::optional<Source>> reply_source(const ParsedRequest& request, const generate::EncodedPrompt& prompt,
                                           const generate::Generator& generator) {
  const auto& structure = request.structure;
  const bool framed = prompt.chat && (!request.call_rules.empty() || !request.format.reasoning.empty());
  if (!framed || (!structure && request.call_rules.empty())) return structure;
  const auto marker = [&](std::string_view text) {
    const auto id = generator.tokenizer().token_to_id(text);
    return id && generator.tokenizer().is_special(*id) ? "<[" + std::to_string(*id) + "]>" : chat::lark_string(text);
  };
  std::string content;
  if (structure) {
    TENON_ASSIGN(content, grammar::lark_expression(*structure));
  }
  const chat::ReplyRules rules{.calls = request.call_rules,
                               .must_call = request.tool_choice != ToolChoice::kAuto,
                               .several = request.tool_choice != ToolChoice::kNamed && request.parallel_tool_calls,
                               .content = std::move(content),
                               .continued = prompt.continued};
  return Source{.kind = Kind::kLark,
                .text = chat::reply_grammar(request.format, prompt.text, rules, marker),
                .param = structure ? structure->param : "tools"};
}

}  // namespace tenon::server
