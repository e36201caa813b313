#include "server/logprobs.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <optional>
#include <string>
#include <string_view>

namespace tenon::server {
namespace {

// JSON has no infinity; this is what vLLM's clients know.
Json number(std::optional<float> logprob) {
  if (!logprob) return nullptr;
  return *logprob > -9999.0f ? static_cast<double>(*logprob) : -9999.0;
}

bool is_utf8(std::string_view text) {
  try {
    (void)Json(text).dump();
    return true;
  } catch (const Json::exception&) {
    return false;
  }
}

// Pieces of characters are shown as OpenAI does: bytes:\xe2\x82
std::string name(const std::string& bytes) {
  if (is_utf8(bytes)) return bytes;
  std::string out = "bytes:";
  for (const char c : bytes) {
    std::array<char, 5> text = {};
    std::snprintf(text.data(), text.size(), "\\x%02x", static_cast<unsigned>(static_cast<unsigned char>(c)));
    out += text.data();
  }
  return out;
}

std::string id_name(std::int32_t token) { return "token_id:" + std::to_string(token); }

Json chat_token(const generate::TokenLogprob& token, bool as_ids) {
  Json bytes = Json::array();
  for (const char c : token.bytes) bytes.push_back(static_cast<unsigned>(static_cast<unsigned char>(c)));
  return {{"token", as_ids ? id_name(token.token) : name(token.bytes)},
          {"logprob", number(token.logprob)},
          {"bytes", std::move(bytes)}};
}

}  // namespace

Json chat_logprobs(std::span<const generate::ScoredToken> tokens, bool as_ids) {
  if (tokens.empty()) return nullptr;
  Json content = Json::array();
  for (const auto& token : tokens) {
    Json entry = chat_token(token, as_ids);
    Json& top = entry["top_logprobs"] = Json::array();
    for (const auto& best : token.top) top.push_back(chat_token(best, as_ids));
    content.push_back(std::move(entry));
  }
  return {{"content", std::move(content)}, {"refusal", nullptr}};
}

Json text_logprobs(std::span<const generate::ScoredToken> tokens, std::int64_t& offset, bool as_ids) {
  if (tokens.empty()) return nullptr;
  Json names = Json::array(), logprobs = Json::array(), tops = Json::array(), offsets = Json::array();
  const auto name_of = [as_ids](const auto& token) { return as_ids ? id_name(token.token) : name(token.bytes); };
  for (const auto& token : tokens) {
    names.push_back(name_of(token));
    logprobs.push_back(number(token.logprob));
    Json top = nullptr;
    if (token.logprob) {
      top = Json::object();
      for (const auto& best : token.top) top.emplace(name_of(best), number(best.logprob));
      top.emplace(name_of(token), number(token.logprob));  // the token's own is always there
    }
    tops.push_back(std::move(top));
    offsets.push_back(offset);
    offset += token.length;
  }
  return {{"tokens", std::move(names)},
          {"token_logprobs", std::move(logprobs)},
          {"top_logprobs", std::move(tops)},
          {"text_offset", std::move(offsets)}};
}

Json prompt_logprob(const generate::ScoredToken& token, int count) {
  if (!token.logprob) return nullptr;
  const auto entry = [](const generate::TokenLogprob& one, std::int64_t rank) -> Json {
    return {{"logprob", number(one.logprob)}, {"rank", rank}, {"decoded_token", one.bytes}};
  };
  Json out = Json::object();
  out[std::to_string(token.token)] = entry(token, token.rank);
  for (const auto& best : std::span(token.top).first(std::min(token.top.size(), static_cast<std::size_t>(count)))) {
    const auto rank = &best - token.top.data() + 1;
    out.emplace(std::to_string(best.token), entry(best, rank));
  }
  return out;
}

}  // namespace tenon::server
