// Requests to /v1/responses: what is generated, what the reply repeats of them, and what is refused.
#include "server/responses_request.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server/responses_input.h"

namespace tenon::server {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

Result<ParsedRequest> parse(const Json& fields, const RequestDefaults& defaults = {},
                            const chat::ReplyFormat& format = {.tools = "hermes", .reasoning = "qwen3"}) {
  Json body = {{"model", "m"}, {"input", "hi"}};
  if (!fields.is_null()) body.update(fields);
  return parse_responses_request(body, defaults, format);
}

ParsedRequest taken(const Json& fields, const RequestDefaults& defaults = {}) {
  auto parsed = parse(fields, defaults);
  EXPECT_TRUE(parsed) << fields << ": " << parsed.error().message;
  return parsed ? std::move(*parsed) : ParsedRequest{};
}

Error refused(const Json& fields) {
  const auto parsed = parse(fields);
  EXPECT_FALSE(parsed) << fields;
  return parsed ? Error{ErrorCode::kInternal, "accepted"} : parsed.error();
}

Json messages(const Json& input, const Json& instructions = nullptr) {
  const auto out = messages_of_input(input, instructions);
  EXPECT_TRUE(out) << input << ": " << out.error().message;
  return out ? *out : Json();
}

chat::RenderInput rendered(const Json& fields, const RequestDefaults& defaults = {}) {
  return std::get<chat::RenderInput>(taken(fields, defaults).prompts.at(0).value);
}

TEST(ResponsesInput, ATextIsAMessageOfTheUser) {
  EXPECT_EQ(messages("hi", "be brief"), Json::parse(R"([{"role": "system", "content": "be brief"},
                                                        {"role": "user", "content": "hi"}])"));
}

TEST(ResponsesInput, MessagesAndTheirParts) {
  const Json items = Json::parse(R"([
    {"role": "developer", "content": "a"}, {"type": "message", "role": "system", "content": "b"},
    {"role": "user", "content": [{"type": "input_text", "text": "c"}, {"type": "text", "text": "d"}]},
    {"type": "message", "id": "msg_1", "status": "completed", "role": "assistant",
     "content": [{"type": "output_text", "text": "e", "annotations": [], "logprobs": []}]}])");
  EXPECT_EQ(messages(items), Json::parse(R"([
    {"role": "system", "content": "a"}, {"role": "system", "content": "b"},
    {"role": "user", "content": [{"type": "text", "text": "c"}, {"type": "text", "text": "d"}]},
    {"role": "assistant", "content": [{"type": "text", "text": "e"}]}])"));
  EXPECT_EQ(rendered({{"input", items}}).messages[2]["content"], "c\nd") << "as in chats";
}

TEST(ResponsesInput, WhatTheModelSaidInARowIsOneMessage) {
  const Json call = {{"type", "function_call"}, {"call_id", "1"}, {"name", "f"}, {"arguments", "{\"a\": 1}"}};
  Json other = call;
  other["call_id"] = "2";
  const Json reasoning = Json::parse(R"({"type": "reasoning", "id": "rs_1", "summary": [],
                                         "content": [{"type": "reasoning_text", "text": "Hm."}]})");
  const Json output = {{"type", "function_call_output"}, {"call_id", "1"}, {"output", "fine"}};
  const Json said = {{"role", "assistant"}, {"content", "I look."}};
  const Json out = messages({reasoning, said, call, other, output, reasoning, call, output, said, said});
  ASSERT_EQ(out.size(), 6u) << out;
  EXPECT_EQ(out[0]["reasoning_content"], "Hm.");
  EXPECT_EQ(out[0]["content"], "I look.");
  ASSERT_EQ(out[0]["tool_calls"].size(), 2u);
  EXPECT_EQ(out[0]["tool_calls"][1], Json::parse(R"({"id": "2", "type": "function",
                                                     "function": {"name": "f", "arguments": "{\"a\": 1}"}})"));
  EXPECT_EQ(out[1], Json::parse(R"({"role": "tool", "tool_call_id": "1", "content": "fine"})"));
  EXPECT_EQ(out[2]["reasoning_content"], "Hm.");
  EXPECT_TRUE(out[2]["content"].is_null()) << "beside calls, as templates want it";
  EXPECT_EQ(out[2]["tool_calls"].size(), 1u);
  EXPECT_EQ(out[4], out[5]) << "two messages stay two";
}

TEST(ResponsesInput, ReasoningMayBeASummaryOrNothing) {
  const Json summary = Json::parse(R"({"type": "reasoning", "summary": [{"type": "summary_text", "text": "S"}]})");
  EXPECT_EQ(messages({summary, summary})[0]["reasoning_content"], "S\nS");
  const Json empty = {{"type", "reasoning"}, {"summary", Json::array()}, {"encrypted_content", nullptr}};
  EXPECT_EQ(messages({empty, {{"role", "user"}, {"content", "x"}}}).size(), 1u);
}

TEST(ResponsesInput, OutputsOfPartsAreText) {
  const Json items = Json::parse(R"([{"type": "function_call", "call_id": "1", "name": "f", "arguments": ""},
    {"type": "function_call_output", "call_id": "1", "output": [{"type": "input_text", "text": "fine"}]}])");
  const auto input = rendered({{"input", items}});
  EXPECT_EQ(input.messages[1]["content"], "fine");
  EXPECT_EQ(input.messages[0]["tool_calls"][0]["function"]["arguments"], Json::object()) << "as in chats";
}

TEST(ResponsesInput, WrongItemsAreNamed) {
  const Json good = {{"role", "user"}, {"content", "x"}};
  for (const char* item : {"5",
                           "[]",
                           "{}",
                           R"({"role": "tool", "content": "x"})",
                           R"({"role": "user"})",
                           R"({"role": "user", "content": null})",
                           R"({"role": "user", "content": [5]})",
                           R"({"role": "user", "content": [{"text": "x"}]})",
                           R"({"role": "user", "content": [{"type": "input_text"}]})",
                           R"({"role": "user", "content": [{"type": "input_image", "image_url": "x"}]})",
                           R"({"role": "user", "content": [{"type": "input_file", "file_id": "x"}]})",
                           R"({"type": "function_call", "name": "f", "arguments": "{}"})",
                           R"({"type": "function_call", "call_id": "1", "arguments": "{}"})",
                           R"({"type": "function_call", "call_id": "1", "name": "f"})",
                           R"({"type": "function_call_output", "call_id": "1", "output": "of no call"})",
                           R"({"type": "function_call_output", "output": "x"})",
                           R"({"type": "item_reference", "id": "msg_1"})",
                           R"({"id": "msg_1"})",
                           R"({"type": "reasoning", "summary": [], "encrypted_content": "abc"})",
                           R"({"type": "web_search_call", "id": "ws_1", "status": "completed"})"}) {
    EXPECT_EQ(refused({{"input", Json::array({good, Json::parse(item)})}}).param, "input[1]") << item;
  }
  EXPECT_THAT(refused({{"input", Json::parse(R"([{"type": "item_reference", "id": "x"}])")}}).message,
              HasSubstr("send the item itself"));
  EXPECT_THAT(refused({{"input", Json::parse(R"([{"role": "user", "content": [{"type": "input_image"}]}])")}}).message,
              HasSubstr("'input_image'"));
  for (const Json& input : {Json(5), Json::array(), Json::object()})
    EXPECT_EQ(refused({{"input", input}}).param, "input") << input;
  EXPECT_EQ(refused({{"input", nullptr}}).param, "input");
  const Json call = Json::parse(R"([{"type": "function_call", "call_id": "1", "name": "f", "arguments": "no"}])");
  EXPECT_EQ(refused({{"input", call}}).param, "input");
  EXPECT_THAT(refused({{"input", call}}).message, HasSubstr("'input' has a tool call"));
}

TEST(ResponsesRequest, ReadsWhatChatsHaveToo) {
  const auto request = taken(Json::parse(R"({
    "temperature": 0.5, "top_p": 0.9, "max_output_tokens": 7, "stream": true, "top_k": 4, "min_p": 0.1, "seed": 3,
    "stop": "x", "repetition_penalty": 1.5, "min_tokens": 2, "priority": 1, "timeout": 5, "user": "u",
    "prompt_cache_key": "k", "safety_identifier": "s", "service_tier": "auto", "stream_options": {},
    "include": ["message.output_text.logprobs", "reasoning.encrypted_content"], "top_logprobs": 2})"));
  EXPECT_EQ(request.model, "m");
  EXPECT_TRUE(request.stream);
  EXPECT_TRUE(request.logprobs);
  EXPECT_EQ(request.generate.max_tokens, 7);
  EXPECT_EQ(request.generate.min_tokens, 2);
  EXPECT_THAT(request.generate.stop, ElementsAre("x"));
  EXPECT_EQ(request.generate.priority, 1);
  EXPECT_EQ(request.generate.timeout, 5);
  const auto& sampling = request.generate.sampling;
  EXPECT_FLOAT_EQ(sampling.temperature, 0.5f);
  EXPECT_FLOAT_EQ(sampling.top_p, 0.9f);
  EXPECT_EQ(sampling.top_k, 4);
  EXPECT_FLOAT_EQ(sampling.min_p, 0.1f);
  EXPECT_EQ(sampling.seed, 3u);
  EXPECT_FLOAT_EQ(sampling.repetition_penalty, 1.5f);
  EXPECT_EQ(sampling.top_logprobs, 2);
  EXPECT_FALSE(taken({}).logprobs);
  EXPECT_EQ(rendered({{"reasoning", {{"effort", "low"}, {"summary", "auto"}}}}, {.template_reads_effort = true})
                .kwargs["reasoning_effort"],
            "low");
}

TEST(ResponsesRequest, ToolsAreThoseOfChatsInAFlatShape) {
  const Json tools = Json::parse(R"([{"type": "function", "name": "f", "description": "d",
    "parameters": {"type": "object", "properties": {}, "additionalProperties": false}, "strict": true}, {"type": "function", "name": "g",
    "parameters": null, "strict": null}])");
  const Json choice = {{"type", "function"}, {"name", "g"}};
  const auto request = taken({{"tools", tools}, {"tool_choice", choice}, {"parallel_tool_calls", false}});
  EXPECT_THAT(request.tools, ElementsAre("f", "g"));
  EXPECT_EQ(request.tool_choice, ToolChoice::kNamed);
  EXPECT_FALSE(request.parallel_tool_calls);
  EXPECT_EQ(request.call_rules.size(), 1u);
  const auto& input = std::get<chat::RenderInput>(request.prompts[0].value);
  EXPECT_EQ(input.tools[0]["function"]["name"], "f");
  EXPECT_EQ(input.tools[0]["function"]["parameters"], tools[0]["parameters"]);
  EXPECT_EQ(request.response["tools"][0], tools[0]);
  EXPECT_EQ(request.response["tools"][1]["strict"], false);
  EXPECT_EQ(request.response["tool_choice"], choice);
  EXPECT_EQ(taken({{"tools", tools}, {"tool_choice", "required"}}).tool_choice, ToolChoice::kRequired);
  EXPECT_TRUE(taken({{"tools", tools}, {"tool_choice", "none"}}).tools.empty());
  const Json allowed = {{"type", "allowed_tools"}, {"mode", "required"}, {"tools", Json::array({choice})}};
  const auto restricted = taken({{"tools", tools}, {"tool_choice", allowed}});
  EXPECT_EQ(restricted.tool_choice, ToolChoice::kRequired);
  EXPECT_EQ(restricted.tools, std::vector<std::string>{choice["name"]});
  EXPECT_EQ(restricted.response["tool_choice"], allowed);
  EXPECT_TRUE(taken({{"tool_choice", "auto"}}).tools.empty()) << "asks for nothing";
}

TEST(ResponsesRequest, TheFormOfTheText) {
  const Json format = Json::parse(R"({"type": "json_schema", "name": "n", "strict": true, "description": "d",
                                      "schema": {"type": "object"}})");
  const auto request = taken({{"text", {{"format", format}, {"verbosity", "medium"}}}});
  ASSERT_TRUE(request.structure);
  EXPECT_EQ(request.structure->text, R"({"type":"object"})");
  EXPECT_EQ(request.structure->param, "text.format");
  EXPECT_EQ(request.response["text"], (Json{{"format", format}, {"verbosity", "medium"}}));
  EXPECT_TRUE(taken({{"text", {{"format", {{"type", "json_object"}}}}}}).structure);
  EXPECT_FALSE(taken({{"text", {{"format", {{"type", "text"}}}}}}).structure);
  EXPECT_EQ(taken({{"structured_outputs", {{"choice", {"a", "b"}}}}}).structure->param, "structured_outputs");
}

TEST(ResponsesRequest, TheReplyRepeatsWhatOpenAisTypesAskFor) {
  const RequestDefaults defaults = {.sampling = {.temperature = 0.6f}};
  EXPECT_EQ(taken({{"store", true}}, defaults).response, Json::parse(R"({
    "background": false, "instructions": null, "max_output_tokens": null, "max_tool_calls": null, "metadata": {},
    "parallel_tool_calls": true, "previous_response_id": null, "prompt_cache_key": null,
    "reasoning": {"effort": null, "summary": null}, "safety_identifier": null, "service_tier": "default",
    "store": false, "temperature": 0.6, "text": {"format": {"type": "text"}, "verbosity": "medium"},
    "tool_choice": "auto", "tools": [], "top_logprobs": 0, "top_p": 1.0, "truncation": "disabled", "user": null})"));
  const Json given = Json::parse(R"({"instructions": "i", "max_output_tokens": 5, "metadata": {"a": "b"},
    "prompt_cache_key": "k", "safety_identifier": "s", "temperature": 0, "top_p": 0.5, "user": "u"})");
  const Json response = taken(given).response;
  for (const auto& [name, value] : given.items()) EXPECT_EQ(response[name], value) << name;
}

TEST(ResponsesRequest, WhatAsksForNothingIsTaken) {
  taken(Json::parse(R"({"background": false, "previous_response_id": null, "conversation": null, "prompt": null,
    "truncation": "disabled", "max_tool_calls": null, "tools": [], "include": [], "metadata": null, "text": {},
    "reasoning": {"effort": null, "summary": "detailed", "mode": "standard", "context": "auto"},
    "prompt_cache_options": {"mode": "explicit"}, "stream_options": {"include_obfuscation": false},
    "service_tier": "default", "store": false, "top_logprobs": 0, "context_management": []})"));
}

TEST(ResponsesRequest, WhatIsNotDoneIsRefusedByNameAndSaysWhatToDo) {
  const std::vector<std::tuple<const char*, const char*, const char*, const char*>> bad = {
      {"background", "true", "background", "\"stream\": true"},
      {"previous_response_id", "\"resp_1\"", "previous_response_id", "in 'input'"},
      {"conversation", "\"conv_1\"", "conversation", "in 'input'"},
      {"prompt", R"({"id": "p"})", "prompt", "'instructions'"},
      {"max_tool_calls", "3", "max_tool_calls", "leave it out"},
      {"truncation", "\"auto\"", "truncation", "leave out what is not needed"},
      {"truncation", "\"some\"", "truncation", "auto or disabled"},
      {"tools", R"([{"type": "web_search"}])", "tools", "'web_search'"},
      {"tools", R"([{"type": "function", "function": {"name": "f"}}])", "tools", "beside 'type'"},
      {"tools", R"([{"type": "function"}])", "tools", "without a 'name'"},
      {"tools", R"([{"type": "function", "name": "f", "defer_loading": true}])", "tools", "defer_loading"},
      {"tools", "{}", "tools", "array"},
      {"tools", "[5]", "tools", "'type'"},
      {"tool_choice", R"({"type": "web_search"})", "tool_choice", "'web_search'"},
      {"tool_choice", R"({"type": "function"})", "tool_choice", "\"name\""},
      {"tool_choice", R"({"type": "allowed_tools", "mode": "auto", "tools": [5]})", "tool_choice", "with 'tools'"},
      {"tool_choice", R"({"type": "function", "name": "f"})", "tool_choice", "among 'tools'"},
      {"tool_choice", "\"required\"", "tool_choice", "only with 'tools'"},
      {"text", R"({"format": {"type": "grammar"}})", "text.format", "json_schema"},
      {"text", R"({"format": {"type": "json_schema", "schema": {}}})", "text.format", "'name'"},
      {"text", R"({"format": {"type": "json_schema", "name": "n"}})", "text.format", "'schema'"},
      {"text", R"({"format": {"type": "json_schema", "name": "n", "schema": {}, "strict": 3}})", "text.format",
       "'text.format' has a 'strict'"},
      {"text", R"({"format": {"type": "json_schema", "json_schema": {}}})", "text.format", "'json_schema'"},
      {"text", R"({"format": {"type": "text", "schema": {}}})", "text.format", "json_schema"},
      {"text", R"({"verbosity": "low"})", "text.verbosity", "leave it out"},
      {"text", R"({"form": 1})", "text", "'form'"},
      {"reasoning", R"({"effort": "low"})", "reasoning.effort", "'reasoning.effort'"},
      {"reasoning", R"({"summary": "long"})", "reasoning.summary", "concise"},
      {"reasoning", R"({"context": "all"})", "reasoning", "'context'"},
      {"include", R"(["file_search_call.results"])", "include", "message.output_text.logprobs"},
      {"include", "[1]", "include", "strings"},
      {"top_logprobs", "2", "top_logprobs", "include"},
      {"stream_options", R"({"include_usage": true})", "stream_options", "'include_usage'"},
      {"metadata", R"({"a": 1})", "metadata", "strings"},
      {"service_tier", "\"flex\"", "service_tier", "leave it out"},
      {"instructions", "[]", "instructions", "string"},
      {"max_output_tokens", "0", "max_output_tokens", "'max_output_tokens'"},
      {"store", "1", "store", "true or false"},
      {"messages", "[]", "messages", "'input'"},
      {"max_tokens", "5", "max_tokens", "'max_output_tokens'"},
      {"response_format", "{}", "response_format", "'text.format'"},
      {"n", "2", "n", "unknown parameter"},
      {"echo", "true", "echo", "unknown parameter"}};
  for (const auto& [name, value, param, sentence] : bad) {
    const Error error = refused({{name, Json::parse(value)}});
    EXPECT_EQ(error.param, param) << name << ": " << value;
    EXPECT_THAT(error.message, HasSubstr(sentence)) << name << ": " << value;
  }
  EXPECT_EQ(parse_responses_request(Json::array()).error().message, "the body must be a JSON object");
}

TEST(ResponsesRequest, MetadataIsShort) {
  Json labels = Json::object();
  for (int i = 0; i < 16; ++i) labels["key " + std::to_string(i)] = std::string(512, 'x');
  EXPECT_EQ(taken({{"metadata", labels}}).response["metadata"], labels);
  labels["one more"] = "";
  for (const Json& much : {labels, Json{{"a", std::string(2049, 'x')}}, Json{{std::string(257, 'x'), "a"}}})
    EXPECT_THAT(refused({{"metadata", much}}).message, HasSubstr("at most 16 keys"));
}

TEST(ResponsesRequest, UnknownFieldsWhereTheyAreAllowed) {
  taken({{"mine", 1}, {"text", {{"mine", 1}}}, {"reasoning", {{"mine", 1}}}, {"messages", 5}},
        {.allow_unknown_fields = true});
}

}  // namespace
}  // namespace tenon::server
