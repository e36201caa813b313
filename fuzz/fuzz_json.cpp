// base/json.h: what parses must print and parse again to the same; what does not must say why.
#include <cstdint>
#include <string>
#include <string_view>

#include "base/check.h"
#include "base/json.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace tenon;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const auto json = parse_json(text, "input", {.max_bytes = std::size_t{1} << 20, .max_depth = 32});
  if (!json) {
    TENON_CHECK(!json.error().message.empty() && json.error().message.size() < 500);
    return 0;
  }
  const std::string printed = json->dump();
  const auto again = parse_json(printed, "printed");
  TENON_CHECK(again.has_value() && again->dump() == printed);
  return 0;
}
