// Histories of calls, rendered by gpt-oss's own chat template.
#include "server/harmony_history.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/file.h"
#include "chat/chat_template.h"
#include "server/openai.h"

namespace tenon::server {
namespace {

using testing::HasSubstr;
using testing::Not;

// What follows the system's and the developer's part.
std::string rendered(const char* messages) {
  const Json body = {{"model", "m"}, {"messages", Json::parse(messages)}};
  const auto parsed = parse_chat_request(body, {}, {.tools = "harmony", .reasoning = "harmony"});
  EXPECT_TRUE(parsed) << parsed.error().message;
  const auto source = read_file(TENON_SOURCE_DIR "/src/chat/testdata/gpt-oss/chat_template.gpt-oss-20b.jinja");
  const auto chat_template = *chat::ChatTemplate::create(*source, Json::object());
  const auto text = chat_template->render(std::get<chat::RenderInput>(parsed->prompts[0].value), 0);
  EXPECT_TRUE(text) << text.error().message;
  return text ? text->substr(text->find("<|start|>user")) : "";
}

TEST(HarmonyHistory, TheReasoningBeforeACallIsShown) {
  EXPECT_EQ(rendered(R"([{"role": "user", "content": "q"},
    {"role": "assistant", "content": null, "reasoning_content": "I look it up.", "tool_calls": [
      {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{\"x\": 1}"}}]},
    {"role": "tool", "tool_call_id": "1", "content": "two"}])"),
            "<|start|>user<|message|>q<|end|><|start|>assistant<|channel|>analysis<|message|>I look it up.<|end|>"
            "<|start|>assistant to=functions.f<|channel|>commentary json<|message|>{\"x\": 1}<|call|>"
            "<|start|>functions.f to=assistant<|channel|>commentary<|message|>\"two\"<|end|><|start|>assistant");
}

// The template fails where there are both.
TEST(HarmonyHistory, WhatWasSaidBeforeACallStandsForTheReasoning) {
  const std::string text = rendered(R"([{"role": "user", "content": "q"},
    {"role": "assistant", "content": "Let me see.", "reasoning_content": "hm", "tool_calls": [
      {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
    {"role": "tool", "tool_call_id": "1", "content": "two"}])");
  EXPECT_THAT(text, HasSubstr("Let me see."));
  EXPECT_THAT(text, Not(HasSubstr("hm")));
}

TEST(HarmonyHistory, NoneOfSeveralCallsIsLost) {
  EXPECT_EQ(rendered(R"([{"role": "user", "content": "q"},
    {"role": "assistant", "content": "", "reasoning_content": "both", "tool_calls": [
      {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{}"}},
      {"id": "2", "type": "function", "function": {"name": "g", "arguments": "{}"}}]},
    {"role": "tool", "tool_call_id": "2", "content": "of g"},
    {"role": "tool", "tool_call_id": "1", "content": "of f"},
    {"role": "user", "content": "more"}])"),
            "<|start|>user<|message|>q<|end|><|start|>assistant<|channel|>analysis<|message|>both<|end|>"
            "<|start|>assistant to=functions.f<|channel|>commentary json<|message|>{}<|call|>"
            "<|start|>functions.f to=assistant<|channel|>commentary<|message|>\"of f\"<|end|>"
            "<|start|>assistant to=functions.g<|channel|>commentary json<|message|>{}<|call|>"
            "<|start|>functions.g to=assistant<|channel|>commentary<|message|>\"of g\"<|end|>"
            "<|start|>user<|message|>more<|end|><|start|>assistant");
}

TEST(HarmonyHistory, NoCallsAreNone) {
  for (const char* none : {"null", "[]"}) {
    const std::string messages = std::string(R"([{"role": "user", "content": "q"}, {"role": "assistant", "content": "a",
      "tool_calls": )") + none + R"(}, {"role": "user", "content": "more"}])";
    EXPECT_THAT(rendered(messages.c_str()), HasSubstr("<|channel|>final<|message|>a<|end|>")) << none;
  }
}

TEST(HarmonyHistory, OtherMessagesStayAsTheyAre) {
  const Json messages = Json::parse(R"([{"role": "system", "content": "s"}, {"role": "user", "content": "q"},
    {"role": "assistant", "content": "a", "reasoning_content": "r"}, {"role": "user", "content": "q"}])");
  EXPECT_EQ(harmony_history(messages), messages);
}

}  // namespace
}  // namespace tenon::server
