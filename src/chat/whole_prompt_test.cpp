#include "chat/whole_prompt.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tenon::chat {
namespace {

using testing::HasSubstr;

Result<std::string> check(std::string_view source, const Json& messages) {
  return render_whole(**ChatTemplate::create(source, nullptr), {.messages = messages}, 0);
}

const Json kConversation =
    Json::parse(R"([{"role": "system", "content": "be kind"}, {"role": "user", "content": " a\n"},
  {"role": "assistant", "content": "<think>b</think>c"}, {"role": "user", "content": "a"}])");

TEST(WholePrompt, WhatIsWrittenTrimmedOrQuotedIsThere) {
  EXPECT_TRUE(check("{% for m in messages %}{{ m.content }}{% endfor %}", kConversation));
  EXPECT_TRUE(check("{% for m in messages %}{{ m.content | trim }};{% endfor %}", kConversation));
  const Json quoted = Json::parse(R"([{"role": "user", "content": "say \"é\"\n"}])");
  EXPECT_TRUE(check("{% for m in messages %}{{ m.content | tojson }}{% endfor %}", quoted));
  EXPECT_TRUE(check("nothing", Json::parse(R"([{"role": "user", "content": " "}])")));
  EXPECT_TRUE(check("{{ messages[0].content }}", Json::parse(R"([{"role": "user", "content": "a"},
    {"role": "assistant", "content": "b"}, {"role": "tool", "content": "c"}])")))
      << "assistants and tools are not looked for";
}

TEST(WholePrompt, AnUnknownRoleIsAnError) {
  const auto status =
      check("{% for m in messages %}{% if m.role != 'system' %}{{ m.content }}{% endif %}{% endfor %}", kConversation);
  ASSERT_FALSE(status);
  EXPECT_EQ(status.error().param, "messages");
  EXPECT_THAT(status.error().message, HasSubstr("message 1, of the role \"system\""));
}

TEST(WholePrompt, CallsThatMakeNoDifferenceAreAnError) {
  const Json messages = Json::parse(R"([{"role": "user", "content": "q"}, {"role": "assistant", "content": null,
    "tool_calls": [{"type": "function", "function": {"name": "f", "arguments": {}}}]}])");
  const auto lost = check("{% for m in messages %}{{ m.content or '' }}{% endfor %}", messages);
  ASSERT_FALSE(lost);
  EXPECT_THAT(lost.error().message, HasSubstr("'tool_calls'"));
  EXPECT_TRUE(check("{% for m in messages %}{{ m.content or m.tool_calls[0].function.name }}{% endfor %}", messages));
  EXPECT_TRUE(
      check("{% for m in messages %}{% if m.role == 'assistant' and not m.tool_calls %}"
            "{{ raise_exception('empty') }}{% endif %}{{ m.content or '' }}{% endfor %}",
            messages))
      << "the template needs them";
}

TEST(WholePrompt, ToolsAreShownOrNot) {
  const auto shows = [](const char* source) { return shows_tools(**ChatTemplate::create(source, nullptr)); };
  EXPECT_FALSE(shows("{{ messages[0].content }}<tool_call>"));
  EXPECT_TRUE(shows("{{ messages[0].content }}{{ tools | tojson }}"));
  EXPECT_TRUE(shows("{{ messages[0].content }}{% if xml_tools %}{{ xml_tools[0].function.name }}{% endif %}"))
      << "SmolLM3's name for them";
  EXPECT_TRUE(shows("{% if not tools %}{{ raise_exception('none') }}{% endif %}"));
}

TEST(WholePrompt, AClientsOwnToolsComeFirst) {
  const auto chat_template = ChatTemplate::create("{{ xml_tools }}", nullptr);
  EXPECT_EQ((*chat_template)->render({.tools = {1}, .kwargs = {{"xml_tools", "mine"}}}, 0).value_or(""), "mine");
}

TEST(WholePrompt, NoCallsAreNotLost) {
  for (const char* none : {"null", "[]"}) {
    const Json messages = Json::parse(std::string(R"([{"role": "assistant", "content": "a", "tool_calls": )") + none +
                                      R"(}, {"role": "user", "content": "q"}])");
    EXPECT_TRUE(check("{% for m in messages %}{{ m.content }}{% endfor %}", messages)) << none;
  }
}

TEST(WholePrompt, NoContentIsTakenForNoTextWhereTheTemplateFailsOnIt) {
  const Json messages = Json::parse(R"([{"role": "user", "content": "q"}, {"role": "assistant", "content": null,
    "tool_calls": [{"type": "function", "function": {"name": "f", "arguments": {}}}]}])");
  const std::string calls = "{{ m.tool_calls[0].function.name if m.tool_calls else '' }}{% endfor %}";
  const auto whole = [&](const char* content) {
    return check("{% for m in messages %}{{ " + std::string(content) + " }};" + calls, messages).value_or("an error");
  };
  EXPECT_EQ(whole("m.content.strip()"), "q;;f");
  EXPECT_EQ(whole("'none' if m.content is none else m.content"), "q;none;f");
}

}  // namespace
}  // namespace tenon::chat
