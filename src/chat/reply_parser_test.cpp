#include "chat/reply_parser.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

#include "base/file.h"
#include "chat/tool_calls.h"

namespace tenon::chat {
namespace {

using testing::ElementsAre;
using Kind = ReplyPart::Kind;

ReplyPart content(std::string text) { return {Kind::kContent, std::move(text)}; }
ReplyPart reasoning(std::string text) { return {Kind::kReasoning, std::move(text)}; }
ReplyPart call(std::string name, std::string arguments) {
  return {Kind::kToolCall, std::move(arguments), std::move(name)};
}

// Neighbours of one kind are one text.
ReplyParts joined(const ReplyParts& parts) {
  ReplyParts out;
  for (const auto& part : parts) {
    if (part.kind != Kind::kToolCall && !out.empty() && out.back().kind == part.kind) {
      out.back().text += part.text;
    } else {
      out.push_back(part);
    }
  }
  return out;
}

const std::vector<std::string> kTools = {"f", "g", "get", "now"};

ReplyParts parse(const ReplyFormat& format, const std::string& reply, const std::string& prompt = "",
                 std::size_t cut = 1 << 20, const std::vector<std::string>& tools = kTools) {
  const auto parser = make_reply_parser(format, tools, prompt);
  ReplyParts out;
  for (std::size_t at = 0; at < reply.size(); at += cut) parser->push(std::string_view(reply).substr(at, cut), out);
  parser->finish(out);
  return joined(out);
}

// However the text is cut, the result is the same.
ReplyParts all_cuts(const ReplyFormat& format, const std::string& reply, const std::string& prompt = "") {
  const auto whole = parse(format, reply, prompt);
  for (std::size_t cut = 1; cut <= reply.size(); ++cut) {
    EXPECT_EQ(parse(format, reply, prompt, cut), whole) << "in pieces of " << cut << ": " << reply;
  }
  return whole;
}

const ReplyFormat kHermes{.tools = "hermes"}, kQwen3{.tools = "hermes", .reasoning = "qwen3"},
    kLlama3{.tools = "llama3_json"}, kMistral{.tools = "mistral"}, kGemma{.tools = "gemma"},
    kHarmony{.tools = "harmony", .reasoning = "harmony"};

TEST(ReplyParser, WithoutAFormatEverythingIsContent) {
  EXPECT_THAT(all_cuts({}, " <think>x</think> <tool_call> "), ElementsAre(content(" <think>x</think> <tool_call> ")));
  EXPECT_TRUE(parse({}, "").empty());
}

TEST(Hermes, CallsBetweenTags) {
  EXPECT_THAT(all_cuts(kHermes,
                       "I look.\n<tool_call>\n{\"name\": \"get\", \"arguments\": {\"city\": \"Köln\"}}\n"
                       "</tool_call>\n<tool_call>\n{\"name\": \"now\", \"arguments\": {}}\n</tool_call>\n"),
              ElementsAre(content("I look."), call("get", R"({"city":"Köln"})"), call("now", "{}")));
  EXPECT_THAT(all_cuts(kHermes, "just text <tool and more \n"), ElementsAre(content("just text <tool and more \n")));
}

TEST(Hermes, TheEndOfTheReplyEndsACall) {
  EXPECT_THAT(all_cuts(kHermes, "<tool_call>{\"name\": \"f\", \"arguments\": {\"a\": 1}}"),
              ElementsAre(call("f", R"({"a":1})")));
}

TEST(Hermes, WhatCannotBeReadStaysContent) {
  for (const std::string inner :
       {"{\"name\": \"f\", \"arguments\": {", "[]", "{\"arguments\": {}}", "{\"name\": 5}",
        "{\"name\": \"f\", \"arguments\": 7}", "{\"name\": \"\"}", R"({"name": "f", "age": 3})"}) {
    const std::string reply = "a <tool_call>" + inner + "</tool_call> b";
    EXPECT_THAT(all_cuts(kHermes, reply), ElementsAre(content(reply)));
  }
  const std::string deep = "<tool_call>" + std::string(100000, '[') + "</tool_call>";
  EXPECT_THAT(parse(kHermes, deep), ElementsAre(content(deep)));
}

TEST(Hermes, ToolsThatWereNotGivenAreNotLookedFor) {
  const std::string reply = "<tool_call>{\"name\": \"f\", \"arguments\": {}}</tool_call>";
  EXPECT_THAT(parse(kHermes, reply, "", 5, {}), ElementsAre(content(reply)));
}

TEST(Qwen3, ReasoningIsSplitOff) {
  EXPECT_THAT(all_cuts(kQwen3, "<think>\nLet me see.\n\nYes.\n</think>\n\nThe answer."),
              ElementsAre(reasoning("Let me see.\n\nYes."), content("The answer.")));
  EXPECT_THAT(all_cuts(kQwen3, "<think>\n\n</think>\n\nHi"), ElementsAre(content("Hi")));
  EXPECT_THAT(all_cuts(kQwen3, "No thoughts, <think> is a word."),
              ElementsAre(content("No thoughts, <think> is a word.")));
  EXPECT_THAT(all_cuts(kQwen3, "<think>cut off"), ElementsAre(reasoning("cut off")));
  EXPECT_THAT(all_cuts(kQwen3, "<thi"), ElementsAre(content("<thi")));
}

TEST(Qwen3, TheTemplateMayHaveBegunTheReasoning) {
  EXPECT_THAT(all_cuts(kQwen3, "Hm.</think>\n\nHi", "<|im_start|>assistant\n<think>\n"),
              ElementsAre(reasoning("Hm."), content("Hi")));
  EXPECT_THAT(all_cuts(kQwen3, "Hi", "<|im_start|>assistant\n<think>\n\n</think>\n\n"), ElementsAre(content("Hi")));
}

TEST(Qwen3, CallsFollowTheReasoning) {
  EXPECT_THAT(all_cuts(kQwen3, "<think>I call <tool_call> now.</think>\n<tool_call>{\"name\": \"f\"}</tool_call>"),
              ElementsAre(reasoning("I call <tool_call> now."), call("f", "{}")));
}

TEST(Llama3, AReplyThatIsAnObjectIsACall) {
  EXPECT_THAT(all_cuts(kLlama3, R"({"name": "f", "parameters": {"x": "a;b}"}})"),
              ElementsAre(call("f", R"({"x":"a;b}"})")));
  EXPECT_THAT(all_cuts(kLlama3, R"({"name": "f", "parameters": {}}; {"name": "g", "parameters": {"y": [1]}})"),
              ElementsAre(call("f", "{}"), call("g", R"({"y":[1]})")));
  EXPECT_THAT(all_cuts(kLlama3, R"(<|python_tag|>{"name": "f", "parameters": {}})"), ElementsAre(call("f", "{}")));
  EXPECT_THAT(all_cuts(kLlama3, "plain {\"name\": \"f\"}"), ElementsAre(content("plain {\"name\": \"f\"}")));
  EXPECT_THAT(all_cuts(kLlama3, R"({"answer": 5})"), ElementsAre(content(R"({"answer": 5})")));
  EXPECT_THAT(all_cuts(kLlama3, R"({"name": "f", "parameters": {}} and)"),
              ElementsAre(content(R"({"name": "f", "parameters": {}} and)")));
}

TEST(Llama3, AnAnswerInJsonIsNoCall) {
  for (const std::string reply : {R"({"name": "Bob", "age": 3})", R"({"name": "Bob", "parameters": {"age": 3}})",
                                  R"({"name": "f", "age": 3})", R"({"name": "f"})", R"({"name": "Bob"})"}) {
    EXPECT_THAT(all_cuts(kLlama3, reply), ElementsAre(content(reply)));
  }
  EXPECT_THAT(all_cuts(kLlama3, R"(<|python_tag|>{"name": "Bob", "age": 3})"),
              ElementsAre(content(R"(<|python_tag|>{"name": "Bob", "age": 3})")));
  // A marker says that it is a call, also of a function that is unknown.
  EXPECT_THAT(all_cuts(kLlama3, R"(<|python_tag|>{"name": "h", "parameters": {}})"), ElementsAre(call("h", "{}")));
  EXPECT_THAT(all_cuts(kHermes, R"(<tool_call>{"name": "h", "arguments": {}}</tool_call>)"),
              ElementsAre(call("h", "{}")));
}

TEST(Mistral, BothNotations) {
  EXPECT_THAT(all_cuts(kMistral, R"([TOOL_CALLS] [{"name": "f", "arguments": {"a": 1}}, {"name": "g"}])"),
              ElementsAre(call("f", R"({"a":1})"), call("g", "{}")));
  EXPECT_THAT(all_cuts(kMistral, R"(Sure.[TOOL_CALLS]f[ARGS]{"a": "]}"}[TOOL_CALLS]g[CALL_ID]123456789[ARGS]{})"),
              ElementsAre(content("Sure."), call("f", R"({"a":"]}"})"), call("g", "{}")));
  EXPECT_THAT(all_cuts(kMistral, "[TOOL_CALLS] nothing"), ElementsAre(content("[TOOL_CALLS] nothing")));
}

TEST(Gemma, ItsOwnNotationBecomesJson) {
  EXPECT_THAT(all_cuts(kGemma,
                       "<start_function_call>call:f{city:<escape>Bad \"X\", {}<escape>,n:-2.5,ok:true,"
                       "l:[1,<escape>two<escape>],o:{k:null}}<end_function_call>"),
              ElementsAre(call("f", R"({"city":"Bad \"X\", {}","n":-2.5,"ok":true,"l":[1,"two"],"o":{"k":null}})")));
  EXPECT_EQ(gemma_call("call:f{}"), call("f", "{}"));
  for (const char* bad : {"call:f{", "call:{}", "f{}", "call:f{a}", "call:f{a:}", "call:f{a:1,}", "call:f{a:<escape>x}",
                          "call:f{a:1} more"}) {
    EXPECT_FALSE(gemma_call(bad)) << bad;
  }
  EXPECT_FALSE(gemma_call("call:f{a:" + std::string(100000, '[')));
}

TEST(Harmony, ChannelsAndCalls) {
  EXPECT_THAT(all_cuts(kHarmony,
                       "<|channel|>analysis<|message|>Think.<|end|><|start|>assistant<|channel|>final"
                       "<|message|>Hello.<|return|>"),
              ElementsAre(reasoning("Think."), content("Hello.")));
  EXPECT_THAT(all_cuts(kHarmony,
                       "<|channel|>analysis<|message|>Look.<|end|><|start|>assistant<|channel|>commentary "
                       "to=functions.get <|constrain|>json<|message|>{\"a\":1}<|call|>"),
              ElementsAre(reasoning("Look."), call("get", "{\"a\":1}")));
  EXPECT_THAT(all_cuts(kHarmony, "<|channel|>commentary<|message|>I will look.<|end|>"),
              ElementsAre(content("I will look.")));
  EXPECT_THAT(all_cuts(kHarmony, "<|channel|>final<|message|>cut o"), ElementsAre(content("cut o")));
  EXPECT_THAT(all_cuts(kHarmony, "no channel"), ElementsAre(content("no channel")));
}

TEST(ReplyFormat, IsReadFromTheTemplate) {
  const auto of = [](const char* name) {
    const char* dir = std::getenv("TENON_SOURCE_DIR");
    const std::filesystem::path root = dir ? dir : TENON_SOURCE_DIR;
    return format_of_template(*read_file((root / "src/chat/testdata" / name).string()));
  };
  EXPECT_EQ(of("qwen2.5/chat_template.qwen2.5-7b-instruct.jinja"), kHermes);
  EXPECT_EQ(of("qwen3/chat_template.qwen3-0.6b.jinja"), kQwen3);
  EXPECT_EQ(of("smollm2/chat_template.smollm2-instruct.jinja"), ReplyFormat{});
  EXPECT_EQ(format_of_template("{{ '[TOOL_CALLS]' }}").tools, "mistral");
  EXPECT_EQ(format_of_template("{{ '<|python_tag|>' }}").tools, "llama3_json");
  EXPECT_EQ(format_of_template("{{ '<start_function_call>' }}").tools, "gemma");
  EXPECT_EQ(format_of_template("{{ '<|channel|>' }}"), kHarmony);
}

TEST(ReplyFormat, Names) {
  EXPECT_TRUE(is_tool_format("hermes"));
  EXPECT_FALSE(is_tool_format("qwen3"));
  EXPECT_TRUE(is_reasoning_format("qwen3"));
  EXPECT_TRUE(kMistral.needs_special_tokens());
  EXPECT_FALSE(kQwen3.needs_special_tokens());
}

}  // namespace
}  // namespace tenon::chat
