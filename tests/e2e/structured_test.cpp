// Structured output and forced tool calls of a model that has never seen JSON: whatever it draws, the form holds.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <future>
#include <regex>

#include "base/json.h"
#include "server_process.h"

namespace tenon::e2e {
namespace {

using testing::HasSubstr;

Json text_body(int seed, int max_tokens = 300) {
  return {{"model", "tiny"},
          {"prompt", "Once upon a time"},
          {"temperature", 1.3},
          {"seed", seed},
          {"max_tokens", max_tokens}};
}

Json chat_body(int seed, int max_tokens = 300) {
  Json body = text_body(seed, max_tokens);
  body.erase("prompt");
  body["messages"] = Json::array({{{"role", "user"}, {"content", "Tell me."}}});
  return body;
}

const Json kSchema = Json::parse(R"({
  "type": "object",
  "properties": {
    "mood": {"enum": ["happy", "sad", 7, null]},
    "age": {"type": "integer", "minimum": 3, "maximum": 1200},
    "tags": {"type": "array", "items": {"type": "string", "maxLength": 6}, "minItems": 1, "maxItems": 3},
    "home": {"type": "object", "properties": {"ok": {"type": "boolean"}, "zip": {"type": "string", "pattern": "^[0-9]{5}$"}},
             "required": ["ok", "zip"], "additionalProperties": false},
    "next": {"$ref": "#/$defs/next"}},
  "required": ["mood", "age", "tags", "home", "next"], "additionalProperties": false,
  "$defs": {"next": {"anyOf": [{"type": "null"}, {"type": "object", "properties": {"next": {"$ref": "#/$defs/next"}},
                                                   "required": ["next"], "additionalProperties": false}]}}})");

void expect_valid(const std::string& text) {
  const Json json = Json::parse(text, nullptr, false);
  ASSERT_TRUE(json.is_object()) << text;
  EXPECT_EQ(json.size(), 5U) << text;
  EXPECT_THAT(kSchema["properties"]["mood"]["enum"], testing::Contains(json.value("mood", Json("?")))) << text;
  EXPECT_TRUE(json["age"].is_number_integer() && json["age"] >= 3 && json["age"] <= 1200) << text;
  EXPECT_TRUE(json["tags"].is_array() && !json["tags"].empty() && json["tags"].size() <= 3) << text;
  EXPECT_TRUE(json["home"].size() == 2 && json["home"]["ok"].is_boolean()) << text;
  EXPECT_TRUE(std::regex_match(json["home"]["zip"].get<std::string>(), std::regex("[0-9]{5}"))) << text;
  EXPECT_TRUE(json["next"].is_null() || json["next"].is_object()) << text;
}

Json choice_of(const HttpReply& reply) {
  EXPECT_EQ(reply.status, 200) << reply.body;
  return reply.status == 200 ? reply.json()["choices"][0] : Json{{"text", ""}, {"message", {{"content", ""}}}};
}

// The joined deltas of a stream, as a whole answer has them.
Json joined(const HttpReply& reply) {
  EXPECT_EQ(reply.status, 200) << reply.body;
  Json out = {{"content", ""}, {"calls", Json::array()}, {"finish_reason", nullptr}};
  for (const std::string& event : events(reply.body)) {
    if (event == "[DONE]") continue;
    const Json choice = Json::parse(event)["choices"][0];
    const Json& delta = choice["delta"];
    out["content"] = out["content"].get<std::string>() + delta.value("content", "");
    for (const Json& call : delta.value("tool_calls", Json::array())) {
      if (call.contains("id")) {
        out["calls"].push_back(call["function"]);
      } else {
        Json& arguments = out["calls"].at(call["index"].get<std::size_t>())["arguments"];
        arguments = arguments.get<std::string>() + call["function"]["arguments"].get<std::string>();
      }
    }
    if (!choice["finish_reason"].is_null()) out["finish_reason"] = choice["finish_reason"];
  }
  return out;
}

TEST(Structured, AnyDrawOfASchemaIsValidWholeAndStreamed) {
  TinyServer server(true);
  for (int seed = 0; seed < 6; ++seed) {
    Json body = chat_body(seed);
    body["response_format"] = {{"type", "json_schema"},
                               {"json_schema", {{"name", "person"}, {"schema", kSchema}, {"strict", true}}}};
    const Json whole = choice_of(post(server.port(), "/v1/chat/completions", body));
    expect_valid(whole["message"]["content"]);
    EXPECT_EQ(whole["finish_reason"], "stop");
    body["stream"] = true;
    const Json streamed = joined(post(server.port(), "/v1/chat/completions", body));
    EXPECT_EQ(streamed["content"], whole["message"]["content"]);
    EXPECT_EQ(streamed["finish_reason"], "stop");

    Json text = text_body(seed);
    text["structured_outputs"] = {{"json", kSchema}};
    const std::string of_text = choice_of(post(server.port(), "/v1/completions", text))["text"];
    expect_valid(of_text);
    text.erase("structured_outputs");
    text["guided_json"] = kSchema.dump();
    EXPECT_EQ(choice_of(post(server.port(), "/v1/completions", text))["text"], of_text);
  }
}

TEST(Structured, AJsonObjectIsOneOrIsCut) {
  TinyServer server(true);
  int stopped = 0;
  for (int seed = 0; seed < 8; ++seed) {
    Json body = chat_body(seed);
    body["response_format"] = {{"type", "json_object"}};
    const Json choice = choice_of(post(server.port(), "/v1/chat/completions", body));
    const std::string text = choice["message"]["content"];
    EXPECT_EQ(text[0], '{') << text;
    if (choice["finish_reason"] != "stop") continue;
    ++stopped;
    EXPECT_TRUE(Json::parse(text, nullptr, false).is_object()) << text;
  }
  EXPECT_GT(stopped, 0);
}

TEST(Structured, RegexChoiceAndGrammars) {
  TinyServer server;
  const auto text = [&](int seed, const Json& more) -> std::string {
    Json body = text_body(seed, 60);
    body.update(more);
    const Json choice = choice_of(post(server.port(), "/v1/completions", body));
    EXPECT_EQ(choice["finish_reason"], "stop") << more;
    return choice["text"];
  };
  const std::regex code("[a-f]{3}-[0-9]{2}"), sum("[0-9]{1,2}( [+*] [0-9]{1,2}){1,2}");
  const char* gbnf = R"(
root ::= number (" " [+*] " " number){1,2}  # one or two
number ::= [0-9] [0-9]?
)";
  const char* lark = "start: number (\" \" /[+*]/ \" \" number){1,2}\nnumber: /[0-9]{1,2}/";
  for (int seed = 0; seed < 4; ++seed) {
    for (const Json& way : {Json{{"guided_regex", "[a-f]{3}-[0-9]{2}"}},
                            Json{{"structured_outputs", {{"regex", "[a-f]{3}-[0-9]{2}"}}}}}) {
      EXPECT_TRUE(std::regex_match(text(seed, way), code)) << text(seed, way);
    }
    for (const Json& way : {Json{{"guided_grammar", gbnf}}, Json{{"structured_outputs", {{"grammar", lark}}}}}) {
      EXPECT_TRUE(std::regex_match(text(seed, way), sum)) << text(seed, way);
    }
    const Json choices = {"yes", "no \"never\"", "j\u00f6"};
    EXPECT_THAT(choices, testing::Contains(Json(text(seed, {{"guided_choice", choices}}))));
    EXPECT_THAT(choices, testing::Contains(Json(text(seed, {{"structured_outputs", {{"choice", choices}}}}))));
  }
  Json many = Json::array();
  for (int i = 0; i < 4096; ++i) many.push_back("word " + std::to_string(i));
  EXPECT_THAT(many, testing::Contains(Json(text(0, {{"structured_outputs", {{"choice", many}}}}))));
  // One that begins another may end there.
  const Json begins = {{"structured_outputs", {{"choice", {"a", "ab"}}}}, {"logit_bias", {{"2", 100}}}};
  EXPECT_EQ(text(0, begins), "a");
}

Json tool(const char* name, Json parameters) {
  return {{"type", "function"}, {"function", {{"name", name}, {"parameters", std::move(parameters)}}}};
}

const Json kWeather = Json::parse(R"({"type": "object", "properties": {
  "city": {"type": "string", "maxLength": 8}, "unit": {"enum": ["C", "F"]}}, "required": ["city", "unit"],
  "additionalProperties": false})");

void expect_weather(const Json& function) {
  EXPECT_EQ(function["name"], "weather");
  const Json arguments = Json::parse(function["arguments"].get<std::string>(), nullptr, false);
  EXPECT_EQ(arguments.size(), 2U) << function;
  EXPECT_TRUE(arguments.is_object() && arguments.value("city", Json()).is_string()) << function;
  EXPECT_THAT((std::vector<Json>{"C", "F"}), testing::Contains(arguments.value("unit", Json()))) << function;
}

TEST(Structured, ToolsThatTheTemplateDoesNotShowAreRefusedUnlessAParserIsNamed) {
  const TempDir dir;
  const std::string path = dir.path() / "template.jinja";
  std::ofstream(path) << "{% for m in messages %}{{ m.content }}{% endfor %}<tool_call></tool_call>";
  Json body = chat_body(1);
  body["tools"] = {tool("weather", kWeather)};
  {
    TinyServer server(true, {"--chat-template", path});
    const HttpReply reply = post(server.port(), "/v1/chat/completions", body);
    EXPECT_EQ(reply.status, 400);
    EXPECT_THAT(reply.body, HasSubstr("'tools' cannot be used"));
    EXPECT_THAT(server.process().err(), testing::Not(HasSubstr("does not show the 'tools'")));
  }
  TinyServer server(true, {"--chat-template", path, "--tool-call-parser", "hermes"});
  EXPECT_EQ(post(server.port(), "/v1/chat/completions", body).status, 200);
  EXPECT_THAT(server.process().err(), HasSubstr("does not show the 'tools' of a request"));
}

class ForcedCall : public testing::TestWithParam<const char*> {};

TEST_P(ForcedCall, SatisfiesItsSchemaWholeAndStreamed) {
  TinyServer server(true, {"--tool-call-parser", GetParam()});
  for (int seed = 0; seed < 3; ++seed) {
    Json body = chat_body(seed);
    body["tools"] = {tool("weather", kWeather), tool("now", nullptr)};
    body["tool_choice"] = {{"type", "function"}, {"function", {{"name", "weather"}}}};
    const Json named = choice_of(post(server.port(), "/v1/chat/completions", body));
    ASSERT_EQ(named["message"]["tool_calls"].size(), 1U) << named;
    EXPECT_TRUE(named["message"]["content"].is_null()) << named;
    expect_weather(named["message"]["tool_calls"][0]["function"]);
    EXPECT_EQ(named["finish_reason"], "stop");
    body["stream"] = true;
    const Json streamed = joined(post(server.port(), "/v1/chat/completions", body));
    EXPECT_EQ(streamed["calls"], Json::array({named["message"]["tool_calls"][0]["function"]}));
    EXPECT_EQ(streamed["content"], "");
    EXPECT_EQ(streamed["finish_reason"], "stop");

    body["stream"] = false;
    body["tool_choice"] = "required";
    body["parallel_tool_calls"] = false;
    const Json required = choice_of(post(server.port(), "/v1/chat/completions", body));
    ASSERT_EQ(required["message"]["tool_calls"].size(), 1U) << required;
    EXPECT_EQ(required["finish_reason"], "tool_calls");
    const Json& function = required["message"]["tool_calls"][0]["function"];
    if (function["name"] == "now") {
      EXPECT_EQ(Json::parse(function["arguments"].get<std::string>()), Json::object());
    } else {
      expect_weather(function);
    }
    // As many calls as it likes; what is cut off is no call.
    body["parallel_tool_calls"] = true;
    const Json several = choice_of(post(server.port(), "/v1/chat/completions", body));
    for (const Json& call : several["message"].value("tool_calls", Json::array())) {
      if (call["function"]["name"] == "weather") expect_weather(call["function"]);
    }
    EXPECT_TRUE(several["finish_reason"] == "length" || !several["message"]["tool_calls"].empty()) << several;
  }
}

INSTANTIATE_TEST_SUITE_P(Formats, ForcedCall, testing::Values("hermes", "llama3_json", "mistral", "gemma"));

// A call of Llama 3 begins as an answer in JSON does: either can be written, and is told from the other.
TEST(Structured, AnAnswerInJsonBesideCallsInJson) {
  TinyServer server(true, {"--tool-call-parser", "llama3_json"});
  int answers = 0, calls = 0;
  for (int seed = 0; seed < 12; ++seed) {
    Json body = chat_body(seed, 200);
    body["tools"] = Json::array({tool("weather", kWeather)});
    body["tools"][0]["function"]["strict"] = true;
    const Json answer = {{"type", "object"},
                         {"properties", {{"answer", {{"type", "boolean"}}}}},
                         {"required", {"answer"}},
                         {"additionalProperties", false}};
    body["response_format"] = {{"type", "json_schema"}, {"json_schema", {{"name", "answer"}, {"schema", answer}}}};
    const Json choice = choice_of(post(server.port(), "/v1/chat/completions", body));
    const Json& message = choice["message"];
    body["stream"] = true;
    const Json streamed = joined(post(server.port(), "/v1/chat/completions", body));
    if (choice["finish_reason"] == "length") continue;
    if (message.contains("tool_calls")) {
      ++calls;
      EXPECT_EQ(choice["finish_reason"], "tool_calls");
      for (const Json& call : message["tool_calls"]) expect_weather(call["function"]);
      EXPECT_EQ(streamed["calls"][0], message["tool_calls"][0]["function"]);
    } else {
      ++answers;
      EXPECT_TRUE(Json::parse(message["content"].get<std::string>())["answer"].is_boolean()) << choice;
      EXPECT_EQ(streamed["content"], message["content"]);
    }
  }
  EXPECT_GT(answers, 0);
  EXPECT_GT(calls, 0);
}

// A reply in harmony may reason before the call, and this model does so until it is cut off: no content then.
TEST(Structured, AForcedCallInHarmonyIsACallOrReasoning) {
  TinyServer server(true, {"--tool-call-parser", "harmony", "--reasoning-parser", "harmony"});
  int calls = 0;
  for (int seed = 0; seed < 12; ++seed) {
    Json body = chat_body(seed, 200);
    body["tools"] = Json::array({tool("weather", kWeather)});
    body["tool_choice"] = "required";
    const Json choice = choice_of(post(server.port(), "/v1/chat/completions", body));
    const Json& message = choice["message"];
    EXPECT_TRUE(message["content"].is_null() || message["content"] == "") << choice;
    if (choice["finish_reason"] == "length") {
      EXPECT_FALSE(message.contains("tool_calls")) << choice;
      continue;
    }
    ++calls;
    EXPECT_EQ(choice["finish_reason"], "tool_calls");
    ASSERT_EQ(message["tool_calls"].size(), 1U) << choice;
    expect_weather(message["tool_calls"][0]["function"]);
  }
  EXPECT_GT(calls, 0);
}

TEST(Structured, WhatCannotBeCompiledIsRefusedAndTheServerGoesOn) {
  TinyServer server(true, {"--tool-call-parser", "hermes"});
  const std::string parens = std::string(20000, '(') + "a" + std::string(20000, ')');
  std::string deep = "{}";
  for (int i = 0; i < 60; ++i) deep = R"({"items": )" + deep + "}";
  for (int i = 0; i < 3000; ++i) deep = R"({"items": )" + deep + "}";
  Json huge = {{"type", "object"}, {"properties", Json::object()}};
  for (int i = 0; i < 20000; ++i) huge["properties"]["property_" + std::to_string(i)] = {{"type", "string"}};
  const auto format = [](const Json& schema) {
    return Json{{"type", "json_schema"}, {"json_schema", {{"name", "x"}, {"schema", schema}}}};
  };
  const std::vector<std::pair<std::string, Json>> bad = {
      {"response_format", format({{"type", "objct"}})},
      {"response_format", format({{"$ref", "#/$defs/none"}})},
      {"response_format", format({{"$ref", "#"}})},
      {"response_format", format(huge)},
      {"response_format", format(Json::parse(R"({"allOf": [{"$ref": "#"}, {"$ref": "#"}]})"))},
      {"guided_json", deep},
      {"guided_json", "{"},
      {"guided_regex", "("},
      {"guided_regex", parens},
      {"guided_regex", std::string(100000, 'a')},
      {"guided_grammar", "start: missing"},
      {"guided_grammar", "root ::= missing"},
      {"guided_grammar", "start: " + parens},
      {"structured_outputs", {{"json", {{"type", "integer"}, {"minimum", 5}, {"maximum", 4}}}}}};
  for (const auto& [param, value] : bad) {
    Json body = chat_body(1, 5);
    body[param] = value;
    const HttpReply reply = post(server.port(), "/v1/chat/completions", body);
    EXPECT_EQ(reply.status, 400) << param << " " << value.dump().substr(0, 100) << reply.body;
    EXPECT_EQ(reply.json()["error"]["param"], param) << reply.body;
    EXPECT_LT(reply.body.size(), 1000U);
  }
  // A bomb that goes off later ends its own request only.
  Json bomb = chat_body(1, 200);
  bomb["guided_regex"] = "(((((a{1,100}){1,100}){1,100}){1,100}){1,100})";
  const HttpReply reply = post(server.port(), "/v1/chat/completions", bomb);
  EXPECT_TRUE(reply.status == 200 || reply.json()["error"]["param"] == "guided_regex") << reply.body;
  Json forced = chat_body(1, 5);
  forced["tools"] = Json::array({tool("f", {{"type", "object"}, {"properties", {{"x", {{"type", "nothing"}}}}}})});
  forced["tool_choice"] = "required";
  const HttpReply tools = post(server.port(), "/v1/chat/completions", forced);
  EXPECT_EQ(tools.status, 400);
  EXPECT_EQ(tools.json()["error"]["param"], "tools") << tools.body;
  EXPECT_EQ(post(server.port(), "/v1/chat/completions", chat_body(1, 5)).status, 200);
}

TEST(Structured, NeighboursDrawTheSameTokens) {
  TinyServer server;
  std::vector<Json> bodies;
  for (int seed = 0; seed < 6; ++seed) {
    bodies.push_back(text_body(seed, 120));
    if (seed % 2 == 0) bodies.back()["guided_json"] = kSchema;
  }
  std::vector<std::string> alone;
  for (const Json& body : bodies) alone.push_back(choice_of(post(server.port(), "/v1/completions", body))["text"]);
  for (int round = 0; round < 2; ++round) {
    std::vector<std::future<std::string>> together;
    for (const Json& body : bodies) {
      together.push_back(std::async(std::launch::async, [&server, &body]() -> std::string {
        return choice_of(post(server.port(), "/v1/completions", body))["text"];
      }));
    }
    for (std::size_t i = 0; i < bodies.size(); ++i) EXPECT_EQ(together[i].get(), alone[i]) << i;
  }
}

TEST(Structured, ChoicesOfOneRequestEachFollowTheForm) {
  TinyServer server;
  Json body = text_body(3, 60);
  body["n"] = 4;
  body["guided_regex"] = "[a-z]{4,9}!";
  const Json reply = post(server.port(), "/v1/completions", body).json();
  ASSERT_EQ(reply["choices"].size(), 4U) << reply;
  std::set<std::string> texts;
  for (const Json& choice : reply["choices"]) {
    texts.insert(choice["text"].get<std::string>());
    EXPECT_TRUE(std::regex_match(choice["text"].get<std::string>(), std::regex("[a-z]{4,9}!"))) << choice;
  }
  EXPECT_GT(texts.size(), 1U);
}

}  // namespace
}  // namespace tenon::e2e
