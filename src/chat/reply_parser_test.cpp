#include "chat/reply_parser.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

#include "base/file.h"
#include "chat/call_reader.h"

namespace tenon::chat {

void PrintTo(const ReplyPart& part, std::ostream* out) {
  constexpr const char* kKinds[] = {"content", "reasoning", "call", "arguments"};
  *out << kKinds[static_cast<int>(part.kind)] << ' ' << part.name << " `" << part.text << '`';
}

namespace {

using testing::ElementsAre;
using Kind = ReplyPart::Kind;

ReplyPart content(std::string text) { return {Kind::kContent, std::move(text)}; }
ReplyPart reasoning(std::string text) { return {Kind::kReasoning, std::move(text)}; }
ReplyPart call(std::string name, std::string arguments) {
  return {Kind::kToolCall, std::move(arguments), std::move(name)};
}

// Neighbours of one kind are one text, and a call has its arguments.
ReplyParts joined(const ReplyParts& parts) {
  ReplyParts out;
  for (const auto& part : parts) {
    const bool goes_on =
        !out.empty() && part.kind != Kind::kToolCall &&
        (out.back().kind == part.kind || (part.kind == Kind::kArguments && out.back().kind == Kind::kToolCall));
    if (goes_on) {
      out.back().text += part.text;
    } else {
      out.push_back(part);
    }
  }
  return out;
}

const std::vector<std::string> kTools = {"f", "g", "get", "now"};

ReplyParts parse(const ReplyFormat& format, const std::string& reply, const std::string& prompt = "",
                 std::size_t cut = 1 << 20, const CallOptions& calls = {kTools}) {
  const auto parser = make_reply_parser(format, calls, prompt);
  ReplyParts out;
  for (std::size_t at = 0; at < reply.size(); at += cut) parser->push(std::string_view(reply).substr(at, cut), out);
  parser->finish(out);
  return joined(out);
}

// However the text is cut, the result is the same.
ReplyParts cuts(const ReplyFormat& format, const std::string& reply, const std::string& prompt, bool in_pieces) {
  const CallOptions calls{kTools, in_pieces};
  const auto whole = parse(format, reply, prompt, 1 << 20, calls);
  for (std::size_t cut = 1; cut <= reply.size(); ++cut) {
    EXPECT_EQ(parse(format, reply, prompt, cut, calls), whole) << "in pieces of " << cut << ": " << reply;
  }
  return whole;
}

// The result is also the same whether calls come in pieces or not, unless one of them is broken.
ReplyParts all_cuts(const ReplyFormat& format, const std::string& reply, const std::string& prompt = "") {
  const auto whole = cuts(format, reply, prompt, false);
  EXPECT_EQ(cuts(format, reply, prompt, true), whole) << reply;
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
              ElementsAre(content("I look."), call("get", R"({"city": "Köln"})"), call("now", "{}")));
  EXPECT_THAT(all_cuts(kHermes, "just text <tool and more \n"), ElementsAre(content("just text <tool and more \n")));
}

TEST(Hermes, TheEndOfTheReplyEndsACall) {
  EXPECT_THAT(all_cuts(kHermes, "<tool_call>{\"name\": \"f\", \"arguments\": {\"a\": 1}}"),
              ElementsAre(call("f", R"({"a": 1})")));
}

TEST(Hermes, WhatCannotBeReadStaysContent) {
  for (const std::string inner :
       {"{\"name\": \"f\", \"arguments\": {", "[]", "{\"arguments\": {}}", "{\"name\": 5}",
        "{\"name\": \"f\", \"arguments\": 7}", "{\"name\": \"\"}", R"({"name": "f", "age": 3})"}) {
    const std::string reply = "a <tool_call>" + inner + "</tool_call> b";
    EXPECT_THAT(cuts(kHermes, reply, "", false), ElementsAre(content(reply)));
  }
  const std::string deep = "<tool_call>" + std::string(100000, '[') + "</tool_call>";
  EXPECT_THAT(parse(kHermes, deep), ElementsAre(content(deep)));
}

TEST(Hermes, WhatIsBesideACall) {
  for (const char* inner :
       {R"({"type": "function", "id": "x", "name": "f", "arguments": {"a": 1}})",
        R"({"arguments": {"a": 1}, "name": "f"})", R"({"name": "f", "arguments": null, "parameters": {"a": 1}})",
        R"({"name": "f", "arguments": {"a": 1}, "x": {}})", R"({"name": "f", "arguments": "{\"a\": 1}"})",
        R"({"name" : "f" , "parameters" :{"a": 1}})"}) {
    EXPECT_THAT(all_cuts(kHermes, "<tool_call>" + std::string(inner) + "</tool_call>"),
                ElementsAre(call("f", R"({"a": 1})")));
  }
  EXPECT_THAT(all_cuts(kHermes, R"(<tool_call>{"name": "f", "arguments": null}</tool_call><|im_end|>)"),
              ElementsAre(call("f", "{}"), content("<|im_end|>")));
  EXPECT_THAT(all_cuts(kHermes, R"(<tool_call>{"name": "f", "arguments": {}} <tool_call>{"name": "g"}</tool_c)"),
              ElementsAre(call("f", "{}"), call("g", "{}")));
}

TEST(Hermes, ArgumentsStayAsTheModelWroteThem) {
  const std::string arguments = R"({"n": 12345678901234567890123, "x": 1.50,  "s": "\u00e9", "a": 1, "a": 2})";
  EXPECT_THAT(all_cuts(kHermes, "<tool_call>{\"name\": \"f\", \"arguments\": " + arguments + "}</tool_call>"),
              ElementsAre(call("f", arguments)));
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

TEST(Qwen3, AMessageThatGoesOnMayHaveBegunTheReasoning) {
  const auto after = [](const char* continued) {
    ReplyParts out;
    const auto parser = make_reply_parser(kQwen3, {}, "<|im_start|>assistant\n", continued);
    parser->push(" b.</think>\n\nHi", out);
    parser->finish(out);
    return joined(out);
  };
  EXPECT_THAT(after("<think>\na"), ElementsAre(reasoning("b."), content("Hi")));
  EXPECT_THAT(after("<think>a</think> c <think>"), ElementsAre(reasoning("b."), content("Hi")));
  EXPECT_THAT(after("<think>\na</think>c"), ElementsAre(content(" b.</think>\n\nHi")));
  EXPECT_THAT(after("a"), ElementsAre(content(" b.</think>\n\nHi")));
}

TEST(Qwen3, CallsFollowTheReasoning) {
  EXPECT_THAT(all_cuts(kQwen3, "<think>I call <tool_call> now.</think>\n<tool_call>{\"name\": \"f\"}</tool_call>"),
              ElementsAre(reasoning("I call <tool_call> now."), call("f", "{}")));
}

TEST(Llama3, AReplyThatIsAnObjectIsACall) {
  EXPECT_THAT(all_cuts(kLlama3, R"({"name": "f", "parameters": {"x": "a;b}"}})"),
              ElementsAre(call("f", R"({"x": "a;b}"})")));
  EXPECT_THAT(all_cuts(kLlama3, R"({"name": "f", "parameters": {}}; {"name": "g", "parameters": {"y": [1]}})"),
              ElementsAre(call("f", "{}"), call("g", R"({"y": [1]})")));
  EXPECT_THAT(all_cuts(kLlama3, R"(<|python_tag|>{"name": "f", "parameters": {}})"), ElementsAre(call("f", "{}")));
  EXPECT_THAT(all_cuts(kLlama3, "plain {\"name\": \"f\"}"), ElementsAre(content("plain {\"name\": \"f\"}")));
  EXPECT_THAT(all_cuts(kLlama3, R"({"answer": 5})"), ElementsAre(content(R"({"answer": 5})")));
  EXPECT_THAT(all_cuts(kLlama3, R"({"name": "f", "parameters": {}} and)"),
              ElementsAre(call("f", "{}"), content("and")));
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

TEST(Llama3, CallsAndWhatIsBetweenAndAfterThem) {
  const std::string f = R"({"name": "f", "parameters": {"a": 1}})",
                    g = R"({"type": "function", "name": "g", "parameters": {}})";
  const auto call_f = call("f", R"({"a": 1})"), call_g = call("g", "{}");
  for (const std::string between : {"; ", ";", "\n", "\n\n", " ;\n", ""}) {
    EXPECT_THAT(all_cuts(kLlama3, " " + f + between + g + "\n;"), ElementsAre(call_f, call_g)) << between;
    EXPECT_THAT(all_cuts(kLlama3, "<|python_tag|>" + f + between + g), ElementsAre(call_f, call_g)) << between;
  }
  EXPECT_THAT(all_cuts(kLlama3, f + "<|python_tag|>" + g), ElementsAre(call_f, call_g));
  EXPECT_THAT(all_cuts(kLlama3, f + "\nI look."), ElementsAre(call_f, content("I look.")));
  EXPECT_THAT(all_cuts(kLlama3, f + R"(; {"name": "Bob", "parameters": {}})"),
              ElementsAre(call_f, content(R"(; {"name": "Bob", "parameters": {}})")));
  EXPECT_THAT(all_cuts(kLlama3, f + "<|eom_id|>"), ElementsAre(call_f, content("<|eom_id|>")));
  EXPECT_THAT(all_cuts(kLlama3, "<|python_tag|>" + f + "<|eom_id|>"), ElementsAre(call_f, content("<|eom_id|>")));
  for (const std::string text :
       {"<|python_tag|>print({})", "<|python_tag|> ", "\n<|python_tag|>x", " \n", "<|pyth", "{", "{}", "{x}", "{\"na",
        "<|python_tag|>{\"x\": [1, {}]}", "{ \"answer\": \"<|python_tag\"}"}) {
    EXPECT_THAT(all_cuts(kLlama3, text), ElementsAre(content(text)));
  }
}

TEST(Mistral, BothNotations) {
  EXPECT_THAT(all_cuts(kMistral, R"([TOOL_CALLS] [{"name": "f", "arguments": {"a": 1}}, {"name": "g"}])"),
              ElementsAre(call("f", R"({"a": 1})"), call("g", "{}")));
  EXPECT_THAT(all_cuts(kMistral, R"(Sure.[TOOL_CALLS]f[ARGS]{"a": "]}"}[TOOL_CALLS]g[CALL_ID]123456789[ARGS]{})"),
              ElementsAre(content("Sure."), call("f", R"({"a": "]}"})"), call("g", "{}")));
  for (const std::string text :
       {"[TOOL_CALLS] nothing", "[TOOL_CALLS]", "[TOOL_CALLS] []", "[TOOL_CALLS][1]", "[TOOL_CA", "[TOOL_CALLS]{}",
        "[TOOL_CALLS]f", "[TOOL_CALLS]f[ARGS]x{}", "[TOOL_CALLS]f; g{}", "[TOOL_CALLS][{\"name\": 5}]"}) {
    EXPECT_THAT(all_cuts(kMistral, text), ElementsAre(content(text)));
  }
}

TEST(Mistral, WhatIsAfterCalls) {
  const std::string list = R"([TOOL_CALLS][{"name": "f", "arguments": {}}])", one = "[TOOL_CALLS]f{}";
  for (const std::string& calls : {list, one}) {
    EXPECT_THAT(all_cuts(kMistral, calls + "</s>"), ElementsAre(call("f", "{}"), content("</s>")));
    EXPECT_THAT(all_cuts(kMistral, calls + "\nand"), ElementsAre(call("f", "{}"), content("and")));
    EXPECT_THAT(all_cuts(kMistral, calls + " " + one), ElementsAre(call("f", "{}"), call("f", "{}")));
  }
  EXPECT_THAT(all_cuts(kMistral, "[TOOL_CALLS] f [ARGS] {} "), ElementsAre(call("f", "{}")));
  EXPECT_THAT(all_cuts(kMistral, "[TOOL_CALLS]" + one), ElementsAre(content("[TOOL_CALLS]"), call("f", "{}")));
  EXPECT_THAT(all_cuts(kMistral, R"([TOOL_CALLS][{"name": "f"}, {"name": 5}])"),
              ElementsAre(call("f", "{}"), content(R"(, {"name": 5}])")));
}

TEST(Gemma, ItsOwnNotationBecomesJson) {
  EXPECT_THAT(all_cuts(kGemma,
                       "<start_function_call>call:f{city:<escape>Bad \"X\", {}<escape>,n:-2.5,ok:true,"
                       "l:[1,<escape>two<escape>],o:{k:null}}<end_function_call>"),
              ElementsAre(call("f", R"({"city":"Bad \"X\", {}","n":-2.5,"ok":true,"l":[1,"two"],"o":{"k":null}})")));
  EXPECT_EQ(read_gemma_call("call:f{}"), call("f", "{}"));
  for (const char* bad : {"call:f{", "call:{}", "f{}", "call:f{a}", "call:f{a:}", "call:f{a:1,}", "call:f{a:<escape>x}",
                          "call:f{a:1} more"}) {
    EXPECT_FALSE(read_gemma_call(bad)) << bad;
  }
  EXPECT_FALSE(read_gemma_call("call:f{a:" + std::string(100000, '[')));
}

// -- calls in pieces

// What each of these texts adds.
std::vector<ReplyParts> pieces(const ReplyFormat& format, const std::vector<std::string>& texts) {
  const auto parser = make_reply_parser(format, {kTools, true}, "");
  std::vector<ReplyParts> out;
  for (const auto& text : texts) parser->push(text, out.emplace_back());
  parser->finish(out.emplace_back());
  return out;
}
ReplyPart arguments(std::string text) { return {Kind::kArguments, std::move(text)}; }

TEST(InPieces, TheNameAndTheArgumentsComeAsSoonAsTheyAreKnown) {
  const auto none = testing::IsEmpty();
  EXPECT_THAT(pieces(kHermes, {"<tool_call>\n{\"name\": \"f\", \"argu", "ments\": ", "{\"a", "\": {}", "}", "}\n</tool",
                               "_call>"}),
              ElementsAre(none, none, ElementsAre(call("f", ""), arguments("{\"a")), ElementsAre(arguments("\": {}")),
                          ElementsAre(arguments("}")), none, none, none));
  EXPECT_THAT(
      pieces(kLlama3, {"{\"name\": \"f\", ", "\"parameters\": {", "}}; {\"name\": \"g\", \"parameters\": {}", "}"}),
      ElementsAre(none, ElementsAre(call("f", ""), arguments("{")),
                  ElementsAre(arguments("}"), call("g", ""), arguments("{}")), none, none));
  EXPECT_THAT(pieces(kMistral,
                     {"[TOOL_CALLS]", "[{\"name\": \"f\", \"arguments\": {\"a\": ", "1}", "}, {\"name\": \"g\"}", "]"}),
              ElementsAre(none, ElementsAre(call("f", ""), arguments("{\"a\": ")), ElementsAre(arguments("1}")),
                          ElementsAre(call("g", "{}")), none, none));
  EXPECT_THAT(
      pieces(kMistral, {"[TOOL_CALLS]f", "[ARGS]", "{\"a\": ", "1}"}),
      ElementsAre(none, none, ElementsAre(call("f", ""), arguments("{\"a\": ")), ElementsAre(arguments("1}")), none));
  EXPECT_THAT(pieces(kHarmony, {"<|channel|>commentary to=functions.f <|constrain|>json<|message|>", "{\"a\": ", "1}",
                                "<|call|>"}),
              ElementsAre(ElementsAre(call("f", "")), ElementsAre(arguments("{\"a\":")), ElementsAre(arguments(" 1}")),
                          none, none));
  // Arguments before the name wait for it.
  EXPECT_THAT(pieces(kHermes, {"<tool_call>{\"arguments\": {}, \"name\": \"f\"", "}"}),
              ElementsAre(none, ElementsAre(call("f", "{}")), none));
}

TEST(InPieces, ContentThatBeginsLikeACallComesAsSoonAsItIsNone) {
  EXPECT_THAT(pieces(kLlama3, {" {", "\"answer\"", ": 5"}),
              ElementsAre(testing::IsEmpty(), ElementsAre(content(" {\"answer\"")), ElementsAre(content(": 5")),
                          testing::IsEmpty()));
  EXPECT_THAT(pieces(kLlama3, {"{\"name\": \"Bob\"", ", \"age\""})[0], ElementsAre(content("{\"name\": \"Bob\"")));
  EXPECT_THAT(pieces(kLlama3, {"{x"})[0], ElementsAre(content("{x")));
  EXPECT_THAT(pieces(kMistral, {"[TOOL_CALLS][1"})[0], ElementsAre(content("[TOOL_CALLS][1")));
}

TEST(InPieces, ACallThatBreaksOffIsShownAsFarAsItCame) {
  const std::pair<ReplyFormat, std::string> replies[] = {
      {kHermes, R"(<tool_call>{"name": "f", "arguments": {"a": )"},
      {kLlama3, R"({"name": "f", "parameters": {"a": )"},
      {kMistral, R"([TOOL_CALLS][{"name": "f", "arguments": {"a": )"},
      {kMistral, R"([TOOL_CALLS]f[ARGS]{"a": )"}};
  for (const auto& [format, reply] : replies) {
    EXPECT_THAT(cuts(format, reply, "", true), ElementsAre(call("f", R"({"a": )")));
    EXPECT_THAT(cuts(format, reply, "", false), ElementsAre(content(reply)));
  }
  EXPECT_THAT(all_cuts(kHarmony, R"(<|channel|>commentary to=functions.f<|message|>{"a":)"),
              ElementsAre(call("f", R"({"a":)")));
  // What has been shown stays a call, and what follows is content.
  EXPECT_THAT(cuts(kHermes, R"(<tool_call>{"name": "f", "arguments": {"a": 1</tool_call> more)", "", true),
              ElementsAre(call("f", R"({"a": 1)"), content(" more")));
}

TEST(InPieces, AfterItsArgumentsACallMayBreakOff) {
  const auto f = call("f", R"({"a": 1})");
  const std::string object = R"({"name": "f", "parameters": {"a": 1})", more = R"(, "answer": "x"})";
  EXPECT_THAT(all_cuts(kLlama3, object), ElementsAre(f));
  EXPECT_THAT(all_cuts(kLlama3, object + " more"), ElementsAre(f, content("more")));
  EXPECT_THAT(all_cuts(kLlama3, object + more), ElementsAre(f, content(more)));
  EXPECT_THAT(all_cuts(kLlama3, object + R"(, "type": "function"})"), ElementsAre(f));
  EXPECT_THAT(all_cuts(kLlama3, object + R"(, "name": "Bob"})"), ElementsAre(f, content(R"(, "name": "Bob"})")));
  EXPECT_THAT(all_cuts(kLlama3, R"({"name": "f", "parameters": null})"), ElementsAre(call("f", "{}")));
  EXPECT_THAT(all_cuts(kLlama3, "<|python_tag|>" + object + "<|eom_id|>"), ElementsAre(f, content("<|eom_id|>")));
  EXPECT_THAT(all_cuts(kHermes, "<tool_call>" + object + "\n</tool_call> more"), ElementsAre(f, content(" more")));
  EXPECT_THAT(all_cuts(kHermes, "<tool_call>" + object + "\n</tool"), ElementsAre(f));
  EXPECT_THAT(all_cuts(kMistral, "[TOOL_CALLS][" + object + "]</s>"), ElementsAre(f, content("</s>")));
}

// Replies that are broken anywhere: the cuts make no difference, and without a call all of the text is content.
TEST(InPieces, BrokenReplies) {
  const std::pair<ReplyFormat, std::string> replies[] = {
      {kHermes,
       R"(I <tool_call>{"name": "f", "arguments": {"a": "}"}}</tool_call> <tool_call>{"name": "g"}</tool_call>)"},
      {kLlama3, R"( {"name": "f", "parameters": {"a": "}"}}; <|python_tag|>{"arguments": {}, "name": "h"} so)"},
      {kMistral, R"(I[TOOL_CALLS] [{"name": "f", "arguments": {"a": "}"}}, {"name": "g"}] so)"},
      {kMistral, R"([TOOL_CALLS]f[ARGS]{"a": "}"}[TOOL_CALLS]g[CALL_ID]12[ARGS]{} so)"},
      {kGemma, R"(I <start_function_call>call:f{a:<escape>}<escape>}<end_function_call> so)"}};
  std::size_t random = 1;
  for (const auto& [format, reply] : replies) {
    for (std::size_t at = 0; at < reply.size(); ++at) {
      random = random * 6364136223846793005U + 1442695040888963407U;
      const char other = R"({}[]",:;\ <fn)"[(random >> 33) % 13];
      std::string without = reply, changed = reply;
      without.erase(at, 1);
      changed[at] = other;
      for (const std::string& broken : {reply.substr(0, at), without, changed}) {
        for (const bool in_pieces : {false, true}) {
          const auto parts = cuts(format, broken, "", in_pieces);
          if (parts.size() == 1 && parts[0].kind == Kind::kContent) {
            EXPECT_EQ(parts[0].text, broken);
          }
        }
      }
    }
  }
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

TEST(Harmony, AMessageThatGoesOnHasItsHeader) {
  ReplyParts out;
  const auto parser = make_reply_parser(kHarmony, {}, "<|start|>assistant<|channel|>final<|message|>Hel", "Hel");
  parser->push("lo.", out);
  EXPECT_THAT(joined(out), ElementsAre(content("lo.")));
  parser->push("<|return|>", out);
  parser->finish(out);
  EXPECT_THAT(joined(out), ElementsAre(content("lo.")));
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
