// tokenizer/tokenizer.h: a tokenizer.json is a tokenizer whose ids are its own and whose detokenizer agrees with it, or
// an error that says why.
#include <cstdint>
#include <string>
#include <string_view>

#include "base/check.h"
#include "tokenizer/tokenizer.h"

namespace {

using namespace tenon;

void check_error(const Error& error) { TENON_CHECK(!error.message.empty()); }

void check_text(const std::shared_ptr<const tokenizer::Tokenizer>& tokenizer, std::string_view text) {
  const auto ids = tokenizer->encode(text, true);
  if (!ids) return check_error(ids.error());
  tokenizer::IncrementalDetokenizer detokenizer(tokenizer, false);
  std::string streamed;
  for (const std::int32_t id : *ids) {
    TENON_CHECK(id >= 0);
    tokenizer->is_special(id);
    tokenizer->is_byte(id);
    tokenizer::token_bytes(*tokenizer, id);
    streamed += detokenizer.push(id);
  }
  streamed += detokenizer.flush();
  const auto decoded = tokenizer->decode(*ids, false);
  if (!decoded) return check_error(decoded.error());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  constexpr std::size_t kMostBytes = 8192;
  if (size > kMostBytes) return 0;
  const auto tokenizer = tokenizer::Tokenizer::from_json({reinterpret_cast<const char*>(data), size});
  if (!tokenizer) return check_error(tokenizer.error()), 0;
  TENON_CHECK((*tokenizer)->vocab_size() >= 0);
  for (const char* text : {"", "a", "Hello, w\u00f6rld 12  ab\n", "<s>\xf0\x9f\x98\x80</s> aaaa"})
    check_text(*tokenizer, text);
  return 0;
}
