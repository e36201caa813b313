// grammar/grammar.h: a source is an error of the client's, or an automaton whose masks can be followed to an end of
// text or to an error that says why. The first byte chooses the language, the second which of the allowed tokens are
// taken.
#include <cstdint>
#include <memory>
#include <string>

#include "base/check.h"
#include "grammar/grammar.h"
#include "grammar/lark.h"

namespace {

using namespace tenon;

constexpr std::int32_t kTokens = 256 + 4;  // a byte each, two words, a special token and the end of text
constexpr std::int32_t kEnd = kTokens - 1;

Result<grammar::Vocabulary> vocabulary() {
  grammar::Vocabulary out;
  for (int byte = 0; byte < 256; ++byte) out.tokens.push_back({.bytes = std::string(1, static_cast<char>(byte))});
  out.tokens.push_back({.bytes = "true"});
  out.tokens.push_back({.bytes = "\": "});
  out.tokens.push_back({.bytes = "<tool>", .special = true});
  out.tokens.push_back({.bytes = "<end>", .special = true});
  out.eos_token_ids = {kEnd};
  return out;
}

bool allows(std::span<const std::uint32_t> mask, std::int32_t token) {
  const auto at = static_cast<std::size_t>(token);
  return at / 32 < mask.size() && (mask[at / 32] >> at % 32 & 1) != 0;
}

// The first token of the mask from `from` on, around its end; -1: none.
std::int32_t choose(std::span<const std::uint32_t> mask, std::uint32_t from) {
  for (std::int32_t i = 0; i < kTokens; ++i) {
    const std::int32_t token = (static_cast<std::int32_t>(from) + i) % kTokens;
    if (allows(mask, token)) return token;
  }
  return -1;
}

void follow(grammar::Matcher& matcher, std::uint32_t seed) {
  constexpr int kSteps = 24;
  int steps = 0;
  for (; steps < kSteps && !matcher.complete(); ++steps) {
    const auto mask = matcher.mask();
    if (mask.empty()) break;
    seed = seed * 1664525 + 1013904223;
    const std::int32_t token = choose(mask, (seed >> 8) % kTokens);
    TENON_CHECK(token >= 0, "a mask without a token");
    if (token == kEnd) return;
    if (!matcher.accept(token)) break;
  }
  TENON_CHECK(steps == kSteps || matcher.complete() || !matcher.error().empty());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  constexpr std::size_t kMostBytes = 1024;  // the work grows faster than the source
  if (size < 2 || size > kMostBytes) return 0;
  static const auto compiler = grammar::Compiler::create(vocabulary);
  const auto kind = static_cast<grammar::Kind>(data[0] % 3);
  const std::string text(reinterpret_cast<const char*>(data) + 2, size - 2);
  const grammar::Source source{.kind = kind, .text = text, .param = "form"};
  const auto expression = grammar::lark_expression(source);
  TENON_CHECK(expression || (expression.error().param == "form" && !expression.error().message.empty()));
  const auto compiled = compiler->compile(source);
  if (!compiled) {
    TENON_CHECK(!compiled.error().message.empty() && compiled.error().message.size() < 1000);
    TENON_CHECK(compiled.error().code == ErrorCode::kInvalidArgument, compiled.error().message);
    return 0;
  }
  const auto matcher = (*compiled)->matcher();
  TENON_CHECK(matcher.has_value());
  follow(**matcher, data[1]);
  return 0;
}
