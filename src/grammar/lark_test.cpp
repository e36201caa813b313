#include "grammar/lark.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace tenon::grammar {
namespace {

using testing::HasSubstr;

// Whether all of the text is a sentence of the source.
bool allows(const Source& source, std::string_view text) {
  static const auto compiler = Compiler::create([] {
    Vocabulary out;
    for (int byte = 0; byte < 256; ++byte) out.tokens.push_back({.bytes = std::string(1, static_cast<char>(byte))});
    out.tokens.push_back({.bytes = "<|eos|>", .special = true});
    out.eos_token_ids = {256};
    return Result<Vocabulary>(std::move(out));
  });
  const auto grammar = compiler->compile(source);
  EXPECT_TRUE(grammar) << source.text << ": " << grammar.error().message;
  if (!grammar) return false;
  const auto matcher = std::move(*(*grammar)->matcher());
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    const auto mask = matcher->mask();
    if ((mask[byte / 32] >> (byte % 32) & 1) == 0 || !matcher->accept(byte)) return false;
  }
  const auto mask = matcher->mask();
  return mask.size() > 8 && (mask[8] & 1) != 0;
}

bool gbnf_allows(std::string_view gbnf, std::string_view text) {
  const auto lark = lark_of_gbnf(gbnf);
  EXPECT_TRUE(lark) << gbnf << ": " << lark.error().message;
  return lark && allows({.kind = Kind::kLark, .text = *lark}, text);
}

TEST(Lark, SourcesArePartsOfAGrammar) {
  const auto part = [](const Source& source) {
    return Source{.kind = Kind::kLark, .text = "start: \"<\" body \">\"\nbody: " + *lark_expression(source) + "\n"};
  };
  const auto json = part({.text = R"({"type": "array", "items": {"enum": ["/", "\n"]}, "minItems": 2})"});
  EXPECT_TRUE(allows(json, R"(<["/", "\n"]>)"));
  EXPECT_FALSE(allows(json, R"(<["/"]>)"));
  EXPECT_FALSE(allows(json, "<[\"/\"," + std::string(30, ' ') + "\"/\"]>"));  // white space is bounded here too
  const auto regex = part({.kind = Kind::kRegex, .text = R"(a/\/\d+\n?)"});
  EXPECT_TRUE(allows(regex, "<a//12\n>"));
  EXPECT_FALSE(allows(regex, "<a//>"));
  const auto lark = part({.kind = Kind::kLark, .text = "start: item+\nitem: /[a-c]/ | \"{\" start \"}\""});
  EXPECT_TRUE(allows(lark, "<a{bc}>"));
  EXPECT_FALSE(allows(lark, "<{>"));
}

TEST(Gbnf, IsToldFromLark) {
  EXPECT_TRUE(is_gbnf("root ::= \"a\""));
  EXPECT_TRUE(is_gbnf("# it's\nroot ::= [\"]"));
  EXPECT_FALSE(is_gbnf("start: \"::=\""));
  EXPECT_FALSE(is_gbnf("start: /[a-z]+/"));
}

TEST(Gbnf, AllOfTheNotation) {
  const char* list = R"(# a list of things
root  ::= "- " Item-name ("\n- "
          Item-name)*   # continued in parentheses
Item-name ::= [a-zA-Z_] [^\n \]-]{0,3} | "\x41\u00e9\"\\" | other?
other ::= .{2} "!" | [0-9+-]+)";
  for (const char* good : {"- abc", "- a\n- bcde", "- A\u00e9\"\\", "- ", "- xy!", "- 1+2-3", "- \u00e9\u00e8!"}) {
    EXPECT_TRUE(gbnf_allows(list, good)) << good;
  }
  for (const char* bad : {"", "abc", "- abcdef", "- a\nb", "- 1x", "- vwxyz!"})
    EXPECT_FALSE(gbnf_allows(list, bad)) << bad;
  EXPECT_TRUE(gbnf_allows("root ::= \"(\" root \")\" | \"x\"", "((x))"));
  EXPECT_TRUE(gbnf_allows("root ::= [/&~[]+ \"/\"", "/&~[/"));
}

TEST(Gbnf, ErrorsSayWhere) {
  const std::pair<const char*, const char*> cases[] = {{"a ::= \"x\"", "no rule 'root'"},
                                                       {"root ::= a", "no rule 'a'"},
                                                       {"root ::= \"a\"\n b ::= (\"c\"", "line 2"},
                                                       {"root ::= \"a", "no end"},
                                                       {"root ::= [a", "no end"},
                                                       {"root ::= []", "empty"},
                                                       {"root ::= \"\\xz\"", "hexadecimal"},
                                                       {"root ::= \"\\uD800\"", "no character"},
                                                       {"root ::= \"a\"{x}", "repetition"},
                                                       {"root ::= \"a\" ! \"b\"", "'!'"},
                                                       {"::= \"a\"", "a rule must be"},
                                                       {"", "no rule 'root'"}};
  for (const auto& [gbnf, message] : cases) {
    const auto lark = lark_of_gbnf(gbnf);
    ASSERT_FALSE(lark) << gbnf;
    EXPECT_THAT(lark.error().message, HasSubstr(message)) << gbnf;
  }
  const std::string deep = "root ::= " + std::string(100000, '(');
  EXPECT_FALSE(lark_of_gbnf(deep));
}

}  // namespace
}  // namespace tenon::grammar
