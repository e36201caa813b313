// grammar/lark.h: any text is a grammar in GBNF notation or an error that says where, and the Lark of one is not much
// longer.
#include <cstdint>
#include <string>

#include "base/check.h"
#include "grammar/lark.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tenon;
  const std::string text(reinterpret_cast<const char*>(data), size);
  const auto lark = grammar::lark_of_gbnf(text);
  if (lark) {
    TENON_CHECK(grammar::is_gbnf(text));
    TENON_CHECK(lark->starts_with("start:") || lark->find("\nstart:") != std::string::npos);
    TENON_CHECK(lark->size() <= 100 + 16 * text.size());
  } else {
    TENON_CHECK(!lark.error().message.empty());
  }
  return 0;
}
