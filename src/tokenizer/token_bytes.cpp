#include <array>
#include <cstdlib>
#include <optional>
#include <vector>

#include "tokenizer/tokenizer.h"

namespace tenon::tokenizer {
namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";  // U+FFFD

// The code points by which byte-level BPE (GPT-2) spells bytes that print badly: those follow U+0100 in order.
std::array<int, 324> bytes_of_code_points() {
  std::array<int, 324> bytes;
  bytes.fill(-1);
  int next = 256;
  for (int byte = 0; byte < 256; ++byte) {
    const bool prints = (byte >= '!' && byte <= '~') || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
    bytes[static_cast<std::size_t>(prints ? byte : next++)] = byte;
  }
  return bytes;
}

// What a byte-level token spells; none if it has other code points.
std::optional<std::string> spelled_bytes(std::string_view token) {
  static const auto kBytes = bytes_of_code_points();
  std::string out;
  for (std::size_t i = 0; i < token.size(); ++i) {
    auto code_point = static_cast<std::size_t>(static_cast<unsigned char>(token[i]));
    if (code_point >= 0x80) {  // those wanted have two bytes of UTF-8
      if ((code_point & 0xE0) != 0xC0 || i + 1 == token.size()) return std::nullopt;
      code_point = (code_point & 0x1F) << 6 | (static_cast<unsigned char>(token[++i]) & 0x3F);
    }
    if (code_point >= kBytes.size() || kBytes[code_point] < 0) return std::nullopt;
    out += static_cast<char>(kBytes[code_point]);
  }
  return out;
}

}  // namespace

std::string token_bytes(const Tokenizer& tokenizer, std::int32_t id) {
  const auto token = tokenizer.id_to_token(id);
  if (!token) return {};
  if (tokenizer.is_special(id)) return *token;
  if (tokenizer.is_byte(id) && token->size() == 6) {  // <0x0A>
    return std::string(1, static_cast<char>(std::strtol(token->c_str() + 3, nullptr, 16)));
  }
  // After itself, so that a decoder which strips the first space of a text does not strip this one's.
  const std::array twice = {id, id};
  const std::string once = tokenizer.decode(std::span(twice).first(1), false).value_or(std::string());
  const std::string both = tokenizer.decode(twice, false).value_or(std::string());
  if (both.find(kReplacement) != std::string::npos) {
    if (auto bytes = spelled_bytes(*token)) return *std::move(bytes);
  }
  return both.starts_with(once) ? both.substr(once.size()) : once;
}

}  // namespace tenon::tokenizer
