#include "server/structured.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "chat/reply_parser.h"
#include "grammar/lark.h"
#include "server/openai.h"

namespace tenon::server {
namespace {

using grammar::Kind;
using testing::HasSubstr;

const Json kChat = Json::parse(R"({"model": "m", "messages": [{"role": "user", "content": "hi"}]})");
const chat::ReplyFormat kHermes{.tools = "hermes"};

Result<ParsedRequest> parse(const std::string& more, const chat::ReplyFormat& format = kHermes) {
  Json body = kChat;
  body.update(Json::parse(more));
  return parse_chat_request(body, {}, format);
}

Error refused(const std::string& more, const chat::ReplyFormat& format = kHermes) {
  const auto parsed = parse(more, format);
  EXPECT_FALSE(parsed) << more;
  return parsed ? Error{} : parsed.error();
}

TEST(Structure, EachWayToSayIt) {
  const auto of = [](const std::string& more) {
    const auto parsed = parse(more);
    EXPECT_TRUE(parsed) << more << parsed.error().message;
    return parsed && parsed->structure ? *parsed->structure : grammar::Source{};
  };
  EXPECT_FALSE(parse(R"({"response_format": {"type": "text"}})")->structure);
  EXPECT_EQ(of(R"({"response_format": {"type": "json_object"}})").text, R"({"type": "object"})");
  const auto schema = of(R"({"response_format": {"type": "json_schema", "json_schema":
                             {"name": "n", "description": "d", "strict": true, "schema": {"type": "null"}}}})");
  EXPECT_EQ(schema.text, R"({"type":"null"})");
  EXPECT_EQ(schema.param, "response_format");
  EXPECT_EQ(of(R"({"structured_outputs": {"json": {"type": "null"}}})").text, R"({"type":"null"})");
  EXPECT_EQ(of(R"({"structured_outputs": {"json_object": true}})").kind, Kind::kJsonSchema);
  EXPECT_EQ(of(R"({"structured_outputs": {"regex": "a+", "json": null}})").kind, Kind::kRegex);
  EXPECT_EQ(of(R"({"guided_json": "{\"type\": \"null\"}"})").param, "guided_json");
  EXPECT_EQ(of(R"({"guided_regex": "a+"})").text, "a+");
  EXPECT_EQ(of(R"({"guided_choice": ["a\"", "b", "a\""]})").text,
            "start: CHOICE\nCHOICE: \"a\\\"\" | \"b\" | \"a\\\"\"");
  EXPECT_EQ(of(R"({"guided_grammar": "start: \"a\""})").text, R"(start: "a")");
  EXPECT_EQ(of(R"({"guided_grammar": "root ::= \"a\""})").kind, Kind::kLark);
  Json text = {{"model", "m"}, {"prompt", "p"}, {"guided_regex", "b"}};
  EXPECT_EQ(parse_completion_request(text)->structure->text, "b");
}

TEST(Structure, ObjectsHaveNoKeysThatTheirSchemaDoesNotList) {
  const std::string open = R"({"properties":{"a":{}}})",
                    closed = R"({"properties":{"a":{}},"additionalProperties":false})";
  for (const std::string& more :
       {R"({"response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": )" + open + "}}}",
        R"({"structured_outputs": {"disable_additional_properties": true, "json": )" + open + "}}",
        R"({"guided_json": )" + Json(open).dump() + "}"}) {
    const auto parsed = parse(more);
    ASSERT_TRUE(parsed) << more << parsed.error().message;
    EXPECT_EQ(parsed->structure->text, closed) << more;
  }
  const auto call = parse(R"({"tool_choice": "required", "tools": [{"type": "function", "function": {"name": "f",
                             "parameters": )" +
                          open + "}}]}");
  ASSERT_TRUE(call) << call.error().message;
  EXPECT_THAT(call->call_rules[0].arguments, HasSubstr("\"additionalProperties\":false"));
}

TEST(Structure, WhatIsWrongNamesTheParameter) {
  const std::pair<const char*, const char*> cases[] = {
      {"response_format", R"("json")"},
      {"response_format", R"({"type": "xml"})"},
      {"response_format", R"({"type": "json_object", "json_schema": {"name": "n", "schema": {}}})"},
      {"response_format", R"({"type": "json_schema"})"},
      {"response_format", R"({"type": "json_schema", "json_schema": {"schema": {}}})"},
      {"response_format", R"({"type": "json_schema", "json_schema": {"name": "n", "schema": 5}})"},
      {"response_format", R"({"type": "json_schema", "json_schema": {"name": "n", "schema": 5}})"},
      {"response_format", R"({"type": "json_schema", "json_schema": {"name": "n", "schema": {}, "strict": "yes"}})"},
      {"response_format", R"({"type": "json_schema", "json_schema": {"name": "n", "schema": {}, "more": 1}})"},
      {"response_format", R"({"type": "text", "more": 1})"},
      {"structured_outputs", "5"},
      {"structured_outputs", "{}"},
      {"structured_outputs", R"({"json": {}, "regex": "a"})"},
      {"structured_outputs", R"({"json": {}, "json_object": true})"},
      {"structured_outputs", R"({"regexp": "a"})"},
      {"structured_outputs", R"({"choice": "a"})"},
      {"guided_json", "5"},
      {"guided_json", R"("[")"},
      {"guided_json", R"("7")"},
      {"guided_regex", R"("")"},
      {"guided_regex", "[]"},
      {"guided_choice", "[]"},
      {"guided_choice", R"(["a", 1])"},
      {"guided_choice", R"([""])"},
      {"guided_grammar", R"("root ::= (")"}};
  for (const auto& [param, value] : cases) {
    const Error error = refused(std::string("{\"") + param + "\": " + value + "}");
    EXPECT_EQ(error.param, param) << value << ": " << error.message;
  }
  const Error two = refused(R"({"guided_regex": "a", "response_format": {"type": "json_object"}})");
  EXPECT_EQ(two.param, "guided_regex");
  EXPECT_THAT(two.message, HasSubstr("'response_format'"));
}

constexpr const char* kF = R"({"type": "function", "function": {"name": "f", "parameters": {"type": "object",
    "properties": {"a": {"type": "boolean"}}, "required": ["a"], "additionalProperties": false}}})";
constexpr const char* kG = R"({"type": "function", "function": {"name": "g", "strict": true}})";

std::string tools(const std::string& more) {
  return std::string("{\"tools\": [") + kF + ", " + kG + "]" + (more.empty() ? "" : ", " + more) + "}";
}

TEST(ToolChoice, ForcedCallsHaveRules) {
  const auto required = *parse(tools(R"("tool_choice": "required")"));
  EXPECT_EQ(required.tool_choice, ToolChoice::kRequired);
  EXPECT_EQ(required.call_rules.size(), 2U);
  const auto named = *parse(tools(R"("tool_choice": {"type": "function", "function": {"name": "f"}})"));
  EXPECT_EQ(named.tool_choice, ToolChoice::kNamed);
  ASSERT_EQ(named.call_rules.size(), 1U);
  EXPECT_EQ(named.call_rules[0].name, "f");
  EXPECT_EQ(std::get<chat::RenderInput>(named.prompts[0].value).tools.size(), 2U);
  EXPECT_EQ(parse(tools(R"("tool_choice": "required")"), {.tools = "gemma"})->format.tools, "llama3_json");
  EXPECT_TRUE(parse(tools(R"("tool_choice": "none")"))->call_rules.empty());
  EXPECT_TRUE(parse(std::string("{\"tools\": [") + kF + "]}")->call_rules.empty());
  EXPECT_EQ(parse(tools(""))->call_rules.size(), 2U);  // one is strict
}

TEST(ToolChoice, WhatIsWrongNamesTheParameter) {
  EXPECT_EQ(refused(R"({"tool_choice": "required"})").param, "tool_choice");
  EXPECT_EQ(refused(R"({"tool_choice": {"type": "function", "function": {"name": "f"}}})").param, "tool_choice");
  for (const char* choice :
       {R"("must")", "5", "{}", R"({"type": "function", "function": {"name": "h"}})",
        R"({"type": "x", "function": {"name": "f"}})", R"({"type": "function", "function": {}})"}) {
    EXPECT_EQ(refused(tools(std::string("\"tool_choice\": ") + choice)).param, "tool_choice") << choice;
  }
  EXPECT_EQ(refused(tools(R"("tool_choice": "required", "guided_regex": "a")")).param, "tool_choice");
  EXPECT_TRUE(parse(tools(R"("tool_choice": "required", "response_format": {"type": "json_object"})")));
  EXPECT_EQ(refused(tools(""), {.tools = "gemma"}).param, "tools");  // strict, in a notation that is not JSON
  EXPECT_EQ(refused(tools(R"("tool_choice": "required")"), {}).param, "tools");
  const std::string pattern =
      R"({"type": "function", "function": {"name": "f", "parameters": {"properties": {"a": {"pattern": ")" +
      std::string(9000, 'a') + R"("}}}}})";
  for (const char* tool : {pattern.c_str(), R"({"type": "function", "function": {"name": "a b"}})",
                           R"({"type": "function", "function": {"name": "f", "parameters": {"type": "array"}}})",
                           R"({"type": "function", "function": {"name": "f", "strict": 1}})"}) {
    const std::string body = std::string("{\"tools\": [") + tool + R"(], "tool_choice": "required"})";
    EXPECT_EQ(refused(body).param, "tools") << tool;
  }
}

// -- the grammars of replies: what they allow is what the reply parsers read

constexpr std::int32_t kEnd = 256, kFirstSpecial = 257;
const std::vector<std::string> kSpecial = {"<|channel|>", "<|message|>",   "<|start|>",
                                           "<|end|>",     "<|constrain|>", "[TOOL_CALLS]"};

std::string marker(std::string_view text) {
  const auto found = std::ranges::find(kSpecial, text);
  if (found == kSpecial.end()) return chat::lark_string(text);
  return "<[" + std::to_string(kFirstSpecial + (found - kSpecial.begin())) + "]>";
}

const grammar::Compiler& compiler() {
  static const auto made = grammar::Compiler::create([] {
    grammar::Vocabulary out;
    for (int byte = 0; byte < 256; ++byte) out.tokens.push_back({.bytes = std::string(1, static_cast<char>(byte))});
    out.tokens.push_back({.bytes = "<|eos|>", .special = true});
    for (const auto& name : kSpecial) out.tokens.push_back({.bytes = name, .special = true});
    out.eos_token_ids = {kEnd};
    return Result<grammar::Vocabulary>(std::move(out));
  });
  return *made;
}

// Whether the whole text is a reply of the grammar.
bool allows(const std::string& lark, std::string_view text) {
  const auto compiled = compiler().compile({.kind = Kind::kLark, .text = lark});
  EXPECT_TRUE(compiled) << compiled.error().message << "\n" << lark;
  if (!compiled) return false;
  const auto matcher = std::move(*(*compiled)->matcher());
  const auto may = [&](std::int32_t token) {
    const auto mask = matcher->mask();
    const auto word = static_cast<std::size_t>(token) / 32;
    return word < mask.size() && (mask[word] >> (token % 32) & 1) != 0;
  };
  while (!text.empty()) {
    std::int32_t token = static_cast<unsigned char>(text[0]);
    std::size_t length = 1;
    for (std::size_t i = 0; i < kSpecial.size(); ++i) {
      if (!text.starts_with(kSpecial[i])) continue;
      token = kFirstSpecial + static_cast<int>(i);
      length = kSpecial[i].size();
    }
    if (!may(token) || !matcher->accept(token)) return false;
    text.remove_prefix(length);
  }
  return may(kEnd);
}

const std::vector<chat::CallRule> kRules = *call_rules(Json::parse(std::string("[") + kF + "," + kG + "]"));

std::vector<std::string> calls_of(const chat::ReplyFormat& format, const std::string& reply) {
  const auto parser = chat::make_reply_parser(format, {.names = {"f", "g"}}, "");
  chat::ReplyParts parts;
  parser->push(reply, parts);
  parser->finish(parts);
  std::vector<std::string> out;
  for (const auto& part : parts) {
    if (part.kind == chat::ReplyPart::Kind::kToolCall) out.push_back(part.name + part.text);
    if (part.kind == chat::ReplyPart::Kind::kArguments) out.back() += part.text;
  }
  return out;
}

struct Written {
  chat::ReplyFormat format;
  std::string one, two;
};

TEST(ReplyGrammar, ForcedCallsAreWhatTheParsersRead) {
  const std::vector<Written> formats = {
      {{.tools = "hermes"},
       "<tool_call>\n{\"name\": \"f\", \"arguments\": {\"a\": true}}\n</tool_call>",
       "<tool_call>\n{\"name\": \"f\", \"arguments\": {\"a\": true}}\n</tool_call>\n"
       "<tool_call>\n{\"name\": \"g\", \"arguments\": {}}\n</tool_call>"},
      {{.tools = "llama3_json"},
       R"({"name": "f", "parameters": {"a": true}})",
       R"({"name": "f", "parameters": {"a": true}}; {"name": "g", "parameters": {}})"},
      {{.tools = "mistral"},
       R"([TOOL_CALLS] [{"name": "f", "arguments": {"a": true}}])",
       R"([TOOL_CALLS][{"name": "f", "arguments": {"a": true}}, {"name": "g", "arguments": {}}])"},
      {{.tools = "harmony", .reasoning = "harmony"},
       R"(<|channel|>analysis<|message|>Hm.<|end|><|start|>assistant<|channel|>commentary to=functions.f )"
       R"(<|constrain|>json<|message|>{"a": true})",
       ""}};
  for (const auto& [format, one, two] : formats) {
    SCOPED_TRACE(format.tools);
    const auto forced = [&](bool several) {
      return chat::reply_grammar(format, "", {.calls = kRules, .must_call = true, .several = several}, marker);
    };
    EXPECT_TRUE(allows(forced(false), one));
    EXPECT_TRUE(allows(forced(true), one));
    EXPECT_EQ(calls_of(format, one).size(), 1U);
    EXPECT_THAT(calls_of(format, one)[0], testing::StartsWith("f{"));
    EXPECT_FALSE(allows(forced(true), "Sure. " + one));
    EXPECT_FALSE(allows(forced(true), "text"));
    std::string wrong = one;
    wrong.replace(wrong.find("true"), 4, "1234");
    EXPECT_FALSE(allows(forced(true), wrong));
    // Where a call is not forced, its arguments follow their schema all the same.
    const auto free = chat::reply_grammar(format, "", {.calls = kRules, .several = true}, marker);
    EXPECT_TRUE(allows(free, one));
    EXPECT_FALSE(allows(free, wrong));
    const std::string text = format.tools == "harmony" ? "<|channel|>final<|message|>Hi, <tool" : "Hi <tool_ca [TOOL";
    EXPECT_TRUE(allows(free, text));
    if (two.empty()) continue;
    EXPECT_TRUE(allows(forced(true), two));
    EXPECT_FALSE(allows(forced(false), two));
    EXPECT_EQ(calls_of(format, two).size(), 2U);
    EXPECT_TRUE(allows(free, two));
    EXPECT_TRUE(allows(free, "I look. " + one));
  }
}

TEST(ReplyGrammar, ReasoningComesBeforeContentAndCalls) {
  const chat::ReplyFormat qwen{.tools = "hermes", .reasoning = "qwen3"};
  const chat::ReplyRules content{.content = "/[0-9]+/"};
  const auto fresh = chat::reply_grammar(qwen, "assistant\n", content, marker);
  EXPECT_TRUE(allows(fresh, "42"));
  EXPECT_TRUE(allows(fresh, "<think>\nSix times seven </thin\n</think>\n\n42"));
  EXPECT_FALSE(allows(fresh, "<think>\nSix</think>\n\nforty"));
  EXPECT_FALSE(allows(fresh, "Six</think>42"));
  const auto begun = chat::reply_grammar(qwen, "assistant\n<think>\n", content, marker);
  EXPECT_TRUE(allows(begun, "Six</think>42"));
  EXPECT_FALSE(allows(begun, "42"));
  const auto calls = chat::reply_grammar(qwen, "", {.calls = kRules, .must_call = true}, marker);
  EXPECT_TRUE(allows(calls, "<think>x</think>\n<tool_call>\n{\"name\": \"g\", \"arguments\": {}}\n</tool_call>"));
  const chat::ReplyFormat harmony{.tools = "harmony", .reasoning = "harmony"};
  const auto answer = chat::reply_grammar(harmony, "", content, marker);
  EXPECT_TRUE(allows(answer, "<|channel|>final<|message|>42"));
  EXPECT_TRUE(allows(answer, "<|channel|>analysis<|message|>x<|end|><|start|>assistant<|channel|>final<|message|>4"));
  EXPECT_FALSE(allows(answer, "<|channel|>final<|message|>x"));
}

TEST(ReplyGrammar, ContentBesideCalls) {
  const chat::ReplyRules rules{.calls = kRules,
                               .content = *grammar::lark_expression({.text = R"({"type": "integer"})"})};
  const auto lark = chat::reply_grammar(kHermes, "", rules, marker);
  EXPECT_TRUE(allows(lark, "17"));
  EXPECT_FALSE(allows(lark, "text"));
  EXPECT_TRUE(allows(lark, "<tool_call>\n{\"name\": \"g\", \"arguments\": {}}\n</tool_call>"));
}

// A lexer takes the longest text: a call that is one text would not let an answer begin as it does.
TEST(ReplyGrammar, JsonContentBesideCallsThatAreJson) {
  const Json refers = Json::parse(R"({"type": "function", "function": {"name": "h", "strict": true, "parameters": {
      "type": "object", "properties": {"a": {"$ref": "#/$defs/flag"}, "h": {"$ref": "#"}}, "required": ["a"],
      "additionalProperties": false, "$defs": {"flag": {"const": "yes"}}}}})");
  const auto rules = call_rules(Json::array({Json::parse(kF), Json::parse(kG), refers}), true);
  ASSERT_TRUE(rules) << rules.error().message;
  const auto content = grammar::lark_expression(
      {.text = R"({"type": "object", "properties": {"answer": {"type": "integer"}, "name": {"type": "string"}},
                   "additionalProperties": false})"});
  const auto lark = chat::reply_grammar({.tools = "llama3_json"}, "",
                                        {.calls = *rules, .several = true, .content = *content}, marker);
  for (const char* text : {R"({"answer":5})", R"({"answer": 5, "name": "Bob"})", R"({"name":"f"})",
                           R"({"name": "f", "parameters": {"a": true}})", R"({"name":"f","parameters":{"a":true}})",
                           R"({"name": "g", "parameters": {}}; {"name": "f", "parameters": {"a": true}})",
                           R"({"name": "h", "parameters": {"a": "yes", "h": {"a": "yes"}}})"}) {
    EXPECT_TRUE(allows(lark, text)) << text;
  }
  for (const char* text : {R"({"name": "f", "parameters": {"a": 1}})", R"({"name": "x", "parameters": {}})", "text",
                           R"({"name": "h", "parameters": {"a": "no"}})", R"({"answer": 5}; {"answer": 5})"}) {
    EXPECT_FALSE(allows(lark, text)) << text;
  }
  const std::string both = R"("response_format": {"type": "json_object"})";
  EXPECT_FALSE(parse(tools(both), {.tools = "llama3_json"})->call_rules[0].whole.empty());
  EXPECT_TRUE(parse(tools(both))->call_rules[0].whole.empty());
  EXPECT_TRUE(parse(tools(""), {.tools = "llama3_json"})->call_rules[0].whole.empty());
}

}  // namespace
}  // namespace tenon::server
