// Messages and tools of a chat request: what the chat template is given.
#include <gtest/gtest.h>

#include "server/openai.h"

namespace tenon::server {
namespace {

Result<ParsedRequest> parse(const Json& fields, const RequestDefaults& defaults = {},
                            const chat::ReplyFormat& format = {}) {
  Json body = {{"model", "m"}, {"messages", Json::array({{{"role", "user"}, {"content", "hi"}}})}};
  for (const auto& [key, value] : fields.items()) body[key] = value;
  return parse_chat_request(body, defaults, format);
}

chat::RenderInput input(const Json& fields, const RequestDefaults& defaults = {},
                        const chat::ReplyFormat& format = {}) {
  const auto parsed = parse(fields, defaults, format);
  EXPECT_TRUE(parsed) << fields << ": " << parsed.error().message;
  return parsed ? std::get<chat::RenderInput>(parsed->prompts[0].value) : chat::RenderInput{};
}

std::string refused_param(const Json& fields, const RequestDefaults& defaults = {}) {
  const auto parsed = parse(fields, defaults);
  EXPECT_FALSE(parsed) << fields;
  return parsed ? "" : parsed.error().param;
}

Json messages(const char* list) { return {{"messages", Json::parse(list)}}; }

TEST(Conversation, PartsOfTextBecomeLinesOfOneString) {
  const Json fields = messages(R"([{"role": "user", "content": [{"type": "text", "text": "a"},
                                                                {"type": "text", "text": "b"}]}])");
  EXPECT_EQ(input(fields).messages[0]["content"], "a\nb");
}

TEST(Conversation, NoContentIsNoTextButBesideCalls) {
  EXPECT_EQ(input(messages(R"([{"role": "assistant", "content": null}])")).messages[0]["content"], "");
  EXPECT_EQ(input(messages(R"([{"role": "assistant", "content": null, "tool_calls": []}])")).messages[0]["content"],
            "");
  const Json called = messages(R"([{"role": "assistant", "content": null,
                                    "tool_calls": [{"function": {"name": "f", "arguments": "{}"}}]}])");
  EXPECT_TRUE(input(called).messages[0]["content"].is_null());
}

TEST(Conversation, ARefusalIsWhatTheAssistantSaid) {
  const auto said = [](const char* message) { return input(messages(message)).messages[0]["content"]; };
  EXPECT_EQ(said(R"([{"role": "assistant", "content": null, "refusal": "no"}])"), "no");
  EXPECT_EQ(said(R"([{"role": "assistant", "content": [{"type": "refusal", "refusal": "no"}]}])"), "no");
  EXPECT_EQ(said(R"([{"role": "assistant", "content": "yes", "refusal": null}])"), "yes");
  EXPECT_EQ(refused_param(messages(R"([{"role": "assistant", "content": [{"type": "refusal"}]}])")), "messages");
}

TEST(Conversation, ACallOfTheOldKindIsNotLostInSilence) {
  EXPECT_EQ(refused_param(messages(R"([{"role": "assistant", "content": null,
                                        "function_call": {"name": "f", "arguments": "{}"}}])")),
            "messages");
  EXPECT_EQ(input(messages(R"([{"role": "assistant", "content": "a", "function_call": null}])")).messages[0]["content"],
            "a");
}

TEST(Conversation, ADeveloperIsTheSystemWhereTheTemplateKnowsNone) {
  const Json request = messages(R"([{"role": "developer", "content": "d"}, {"role": "user", "content": "u"}])");
  EXPECT_EQ(input(request).messages[0], Json({{"role", "system"}, {"content", "d"}}));
  EXPECT_EQ(input(request, {}, {.tools = "harmony"}).messages[0]["role"], "developer");
}

TEST(Conversation, BadMessagesAreErrors) {
  for (const char* list :
       {"3", "[]", "{}", "[5]", "[[]]", R"([{"content": "x"}])", R"([{"role": 1, "content": "x"}])",
        R"([{"role": "user"}])", R"([{"role": "user", "content": null}])", R"([{"role": "user", "content": 5}])",
        R"([{"role": "user", "content": ["x"]}])", R"([{"role": "user", "content": [{"text": "x"}]}])",
        R"([{"role": "user", "content": [{"type": "text"}]}])",
        R"([{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}])"}) {
    EXPECT_EQ(refused_param({{"messages", Json::parse(list)}}), "messages") << list;
  }
  const auto none = parse_chat_request({{"model", "m"}});
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().param, "messages");
}

TEST(Conversation, EffortGoesToTheTemplateThatReadsIt) {
  const RequestDefaults reads = {.template_reads_effort = true};
  EXPECT_EQ(input({{"reasoning_effort", "low"}}, reads).kwargs["reasoning_effort"], "low");
  EXPECT_EQ(refused_param({{"reasoning_effort", "low"}}), "reasoning_effort");
  EXPECT_EQ(input({{"reasoning_effort", "max"}}, reads).kwargs["reasoning_effort"], "max");
  EXPECT_TRUE(input({{"reasoning_effort", "none"}}).kwargs.empty()) << "as it does anyway";
  EXPECT_FALSE(parse({{"reasoning_effort", "none"}}, {}, {.reasoning = "qwen3"})) << "it would not heed it";
  for (const Json& effort : {Json("much"), Json(1)})
    EXPECT_EQ(refused_param({{"reasoning_effort", effort}}, reads), "reasoning_effort");
  const Json twice = {{"reasoning_effort", "low"}, {"chat_template_kwargs", {{"reasoning_effort", "high"}}}};
  EXPECT_EQ(refused_param(twice, reads), "reasoning_effort");
}

TEST(Conversation, AllowedToolsAreTheOnlyOnesThatAreShown) {
  const auto tool = [](const char* name) { return Json{{"type", "function"}, {"function", {{"name", name}}}}; };
  const auto request = [&](const char* mode, const Json& allowed) {
    return Json{{"tools", {tool("f"), tool("g"), tool("h")}},
                {"tool_choice", {{"type", "allowed_tools"}, {"allowed_tools", {{"mode", mode}, {"tools", allowed}}}}}};
  };
  const Json two = {tool("h"), tool("f")};
  const auto free = parse(request("auto", two), {}, {.tools = "hermes"});
  ASSERT_TRUE(free) << free.error().message;
  EXPECT_EQ(free->tools, (std::vector<std::string>{"f", "h"}));
  EXPECT_TRUE(free->tool_choice == ToolChoice::kAuto);
  EXPECT_EQ(input(request("auto", two), {}, {.tools = "hermes"}).tools.size(), 2u);
  const auto forced = parse(request("required", Json::array({tool("g")})), {}, {.tools = "hermes"});
  ASSERT_TRUE(forced) << forced.error().message;
  EXPECT_TRUE(forced->tool_choice == ToolChoice::kRequired);
  EXPECT_EQ(forced->call_rules.size(), 1u);
  for (const Json& bad : {request("auto", Json::array()), request("auto", Json::array({tool("x")})),
                          request("none", two), request("auto", 5), request("auto", Json::array({5}))}) {
    EXPECT_EQ(refused_param(bad), "tool_choice");
  }
  EXPECT_EQ(refused_param({{"tool_choice", request("auto", two)["tool_choice"]}}), "tool_choice");
}

TEST(Conversation, GptOssHasADescriptionOfEachTool) {
  const Json fields = {{"tools", Json::array({{{"type", "function"}, {"function", {{"name", "f"}}}}})}};
  const chat::ReplyFormat harmony = {.tools = "harmony", .reasoning = "harmony"};
  EXPECT_EQ(input(fields, {}, harmony).tools[0]["function"]["description"], "");
  for (const auto& [given, shown] : {std::pair<Json, Json>{nullptr, ""}, {"d", "d"}}) {
    Json described = fields;
    described["tools"][0]["function"]["description"] = given;
    EXPECT_EQ(input(described, {}, harmony).tools[0]["function"]["description"], shown);
  }
  EXPECT_FALSE(input(fields, {}, {.tools = "hermes"}).tools[0]["function"].contains("description"));
}

}  // namespace
}  // namespace tenon::server
