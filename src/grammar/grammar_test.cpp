#include "grammar/grammar.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <future>
#include <string_view>
#include <vector>

#include "grammar/lark.h"

namespace tenon::grammar {
namespace {

using testing::HasSubstr;

constexpr std::int32_t kCall = 256, kEnd = 257, kNothing = 258;

// A token for each byte, a special one, an end of text, and one that is no token.
Vocabulary bytes_vocabulary() {
  Vocabulary out;
  for (int byte = 0; byte < 256; ++byte) out.tokens.push_back({.bytes = std::string(1, static_cast<char>(byte))});
  out.tokens.push_back({.bytes = "<|call|>", .special = true});
  out.tokens.push_back({.bytes = "<|end|>", .special = true});
  out.tokens.push_back({});
  out.eos_token_ids = {kEnd};
  return out;
}

std::unique_ptr<Compiler> compiler() {
  return Compiler::create([] { return Result<Vocabulary>(bytes_vocabulary()); });
}

std::unique_ptr<Matcher> matcher(const Source& source) {
  auto grammar = compiler()->compile(source);
  EXPECT_TRUE(grammar) << grammar.error().message;
  return grammar ? std::move(*(*grammar)->matcher()) : nullptr;
}

bool allows(std::span<const std::uint32_t> mask, std::int32_t token) {
  const auto word = static_cast<std::size_t>(token) / 32;
  return word < mask.size() && (mask[word] >> (token % 32) & 1) != 0;
}

// Whether the text may go on so, byte by byte.
bool push(Matcher& matcher, std::string_view text) {
  for (const char c : text) {
    const auto token = static_cast<std::int32_t>(static_cast<unsigned char>(c));
    if (!allows(matcher.mask(), token) || !matcher.accept(token)) return false;
  }
  return true;
}

TEST(Grammar, ASchemaDecidesWhatMayComeNext) {
  const auto m = matcher({.text = R"({"type": "object", "properties": {"on": {"type": "boolean"}}, "required": ["on"],
                   "additionalProperties": false})"});
  ASSERT_TRUE(m);
  EXPECT_FALSE(allows(m->mask(), 'x'));
  EXPECT_FALSE(allows(m->mask(), kEnd));
  EXPECT_TRUE(push(*m, "{\"on\": t"));
  EXPECT_FALSE(allows(m->mask(), 'f'));
  EXPECT_TRUE(push(*m, "rue"));
  EXPECT_FALSE(m->complete());
  EXPECT_TRUE(push(*m, "}"));
  EXPECT_TRUE(m->complete());
  EXPECT_TRUE(allows(m->mask(), kEnd));
  EXPECT_FALSE(allows(m->mask(), '}'));
}

TEST(Grammar, TheEndIsAllowedWhereTheTextMayEnd) {
  const auto m = matcher({.kind = Kind::kRegex, .text = "[0-9]+"});
  ASSERT_TRUE(m);
  EXPECT_FALSE(allows(m->mask(), kEnd));
  EXPECT_TRUE(push(*m, "4"));
  EXPECT_TRUE(allows(m->mask(), kEnd) && allows(m->mask(), '2'));
  EXPECT_FALSE(m->complete());
}

TEST(Grammar, OnlyAGrammarThatNamesASpecialTokenReachesIt) {
  const auto text = matcher({.kind = Kind::kRegex, .text = "(?s:.*)"});
  ASSERT_TRUE(text);
  EXPECT_TRUE(allows(text->mask(), '<'));
  EXPECT_FALSE(allows(text->mask(), kCall));
  EXPECT_FALSE(allows(text->mask(), kNothing));
  EXPECT_FALSE(allows(text->mask(), kNothing + 1000));
  const auto named = matcher({.kind = Kind::kLark, .text = "start: <[256]> \"a\""});
  ASSERT_TRUE(named);
  EXPECT_TRUE(allows(named->mask(), kCall));
  EXPECT_FALSE(allows(named->mask(), '<'));
  EXPECT_TRUE(named->accept(kCall));
  EXPECT_TRUE(push(*named, "a"));
  EXPECT_TRUE(named->complete());
}

TEST(Grammar, MatchersOfAGrammarAreIndependent) {
  const auto grammar = compiler()->compile({.kind = Kind::kRegex, .text = "ab|cd"});
  ASSERT_TRUE(grammar);
  const auto one = std::move(*(*grammar)->matcher()), two = std::move(*(*grammar)->matcher());
  EXPECT_TRUE(push(*one, "ab"));
  EXPECT_TRUE(push(*two, "cd"));
}

TEST(Grammar, AWrongTokenIsAnErrorThatStays) {
  const auto m = matcher({.kind = Kind::kRegex, .text = "ab"});
  ASSERT_TRUE(m);
  EXPECT_FALSE(m->accept('x'));
  EXPECT_FALSE(m->error().empty());
  EXPECT_TRUE(m->mask().empty());
  EXPECT_FALSE(m->accept('a'));
}

TEST(Grammar, ErrorsNameTheParameter) {
  const auto c = compiler();
  for (const Source& source :
       {Source{Kind::kJsonSchema, "{", "response_format"}, Source{Kind::kJsonSchema, "7", "response_format"},
        Source{Kind::kRegex, "(", "guided_regex"}, Source{Kind::kRegex, std::string(kMaxRegex + 1, 'a'), "regex"},
        Source{Kind::kLark, "start: \"a", "grammar"}, Source{Kind::kLark, std::string(kMaxSource + 1, ' '), "grammar"},
        Source{Kind::kRegex, std::string(20000, '(') + std::string(20000, ')'), "regex"},
        Source{Kind::kRegex, "\xff", "regex"}, Source{Kind::kRegex, "a\\", "regex"}}) {
    const auto grammar = c->compile(source);
    ASSERT_FALSE(grammar) << source.text.substr(0, 20);
    EXPECT_EQ(grammar.error().code, ErrorCode::kInvalidArgument) << grammar.error().message;
    EXPECT_EQ(grammar.error().param, source.param);
    EXPECT_LT(grammar.error().message.size(), 500U);
  }
}

TEST(Grammar, ABackslashMayEndARegexWhereItIsEscaped) {
  EXPECT_TRUE(compiler()->compile({Kind::kRegex, R"(a\\)", "regex"}));
  EXPECT_FALSE(compiler()->compile({Kind::kRegex, R"(a\\\)", "regex"}));
}

TEST(Grammar, LongRegexesAreRefusedWhereverTheyStand) {
  const auto c = compiler();
  const std::string longest(kMaxRegex, 'a'), longer(kMaxRegex + 1, 'a');
  const auto sources = [](const std::string& regex) {
    return std::vector<Source>{
        {Kind::kRegex, regex, "p"},
        {Kind::kJsonSchema, R"({"items": [{"type": "string", "pattern": ")" + regex + R"("}]})", "p"},
        {Kind::kJsonSchema, R"({"type": "object", "patternProperties": {")" + regex + R"(": {}}})", "p"}};
  };
  for (const Source& source : sources(longest)) EXPECT_TRUE(lark_expression(source));
  for (const Source& source : sources(longer)) {
    const auto whole = c->compile(source);
    const auto part = lark_expression(source);
    ASSERT_FALSE(whole);
    ASSERT_FALSE(part);
    EXPECT_THAT(whole.error().message, HasSubstr("regular expression has 8193 bytes"));
    EXPECT_THAT(part.error().message, HasSubstr("regular expression has 8193 bytes"));
    EXPECT_EQ(whole.error().param, "p");
    EXPECT_EQ(part.error().param, "p");
  }
}

TEST(Grammar, WhiteSpaceOfASchemaIsBounded) {
  EXPECT_TRUE(push(*matcher({.text = R"({"type": "array"})"}), "[\n        1]"));
  EXPECT_FALSE(push(*matcher({.text = R"({"type": "array"})"}), "[  "));
  const Source own{.text = R"({"type": "array", "x-guidance": {"whitespace_flexible": true}})"};
  EXPECT_FALSE(push(*matcher(own), "[  "));
}

// As pydantic, OpenAPI and the JSON writers of some languages have them.
TEST(Grammar, FormatsThatSayNothingOfTheTextAndLimitsThatAreFloats) {
  const auto takes = [](const char* schema, std::string_view value) {
    const auto m = matcher({.text = schema});
    return m && push(*m, value);
  };
  EXPECT_TRUE(takes(R"({"type": "string", "format": "binary"})", "\"any text\""));
  EXPECT_TRUE(takes(R"({"type": "object", "properties": {"format": {"type": "string", "format": "path"}}})",
                    "{\"format\":\"/x\"}"));
  EXPECT_TRUE(takes(R"({"type": "integer", "format": "int64"})", "12"));
  EXPECT_FALSE(takes(R"({"type": "string", "format": "date"})", "\"any text\""));
  EXPECT_FALSE(compiler()->compile({.text = R"({"type": "string", "format": "json-pointer"})"})) << "never in silence";
  EXPECT_TRUE(takes(R"({"type": "string", "minLength": 2.0, "maxLength": 3e0})", "\"abc\""));
  EXPECT_FALSE(takes(R"({"type": "string", "minLength": 2.0, "maxLength": 3e0})", "\"abcd\""));
  EXPECT_FALSE(compiler()->compile({.text = R"({"type": "string", "minLength": 2.5})"}));
  EXPECT_TRUE(takes(R"({"const": {"format": "binary"}})", R"({"format":"binary"})"));
}

TEST(Grammar, SchemasThatAreNone) {
  const auto c = compiler();
  for (const char* text : {"false", "[]", "7", "{"}) EXPECT_FALSE(c->compile({.text = text})) << text;
  EXPECT_TRUE(c->compile({.text = "true"}));
}

TEST(Grammar, WhatIsTooComplexOnTheWayFails) {
  const auto m = matcher({.kind = Kind::kRegex, .text = "(((((a{1,100}){1,100}){1,100}){1,100}){1,100})"});
  ASSERT_TRUE(m);
  for (int i = 0; i < 100 && m->accept('a') && !m->mask().empty(); ++i) {
  }
  EXPECT_FALSE(m->error().empty());
}

TEST(Compiler, AsksForTheVocabularyOnceAndOnlyIfNeeded) {
  int asked = 0;
  const auto c = Compiler::create([&] {
    ++asked;
    return Result<Vocabulary>(bytes_vocabulary());
  });
  EXPECT_EQ(asked, 0);
  EXPECT_TRUE(c->compile({.kind = Kind::kRegex, .text = "a"}));
  EXPECT_TRUE(c->compile({.kind = Kind::kRegex, .text = "b"}));
  EXPECT_EQ(asked, 1);
}

TEST(Compiler, ItsOwnThreadCompilesInOrder) {
  const auto c = compiler();
  std::promise<std::string> failed;
  std::promise<bool> made;
  std::atomic<int> order{0};
  ASSERT_TRUE(c->submit({Kind::kRegex, "(", "regex"}, [&](Compiled compiled) {
    EXPECT_EQ(order++, 0);
    failed.set_value(compiled ? "" : compiled.error().param);
  }));
  ASSERT_TRUE(c->submit({Kind::kRegex, "a", "regex"}, [&](Compiled compiled) {
    EXPECT_EQ(order++, 1);
    made.set_value(compiled.has_value());
  }));
  EXPECT_EQ(failed.get_future().get(), "regex");
  EXPECT_TRUE(made.get_future().get());
}

}  // namespace
}  // namespace tenon::grammar
