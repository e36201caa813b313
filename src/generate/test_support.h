// What the tests of generate/ share: a tokenizer of bytes, a template, and an engine that the test plays.
#pragma once

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "generate/generator.h"

namespace tenon::generate {

using engine::FinishReason;

inline constexpr std::int32_t kBos = 256, kEos = 257, kVocab = 258;

// One token a byte, and two special ones. decode() shows half a character as one U+FFFD, as real ones do.
class ByteTokenizer final : public tokenizer::Tokenizer {
 public:
  Result<std::vector<std::int32_t>> encode(std::string_view text, bool add_special_tokens) const override {
    std::vector<std::int32_t> ids;
    if (add_special_tokens) ids.push_back(kBos);
    for (const char c : text) ids.push_back(static_cast<unsigned char>(c));
    return ids;
  }
  Result<std::string> decode(std::span<const std::int32_t> ids, bool skip_special_tokens) const override {
    std::string bytes, text;
    for (const auto id : ids) {
      if (id < 256) {
        bytes += static_cast<char>(id);
      } else if (!skip_special_tokens) {
        bytes += id == kBos ? "<s>" : "</s>";
      }
    }
    for (std::size_t i = 0; i < bytes.size();) {
      const auto lead = static_cast<unsigned char>(bytes[i]);
      const std::size_t length = lead < 0x80 ? 1 : lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : lead >= 0xC2 ? 2 : 0;
      std::size_t have = 1;
      while (have < length && i + have < bytes.size() && (bytes[i + have] & 0xC0) == 0x80) ++have;
      text += have == length ? bytes.substr(i, have) : "\xEF\xBF\xBD";
      i += have;
    }
    return text;
  }
  std::optional<std::int32_t> token_to_id(std::string_view) const override { return std::nullopt; }
  std::optional<std::string> id_to_token(std::int32_t id) const override {
    return id >= 0 && id < kVocab ? std::optional(std::to_string(id)) : std::nullopt;
  }
  bool is_special(std::int32_t id) const override { return id >= 256; }
  std::int32_t vocab_size() const override { return kVocab; }
};

class UpperTemplate final : public chat::ChatTemplate {
 public:
  Result<std::string> render(const chat::RenderInput& input, std::int64_t now) const override {
    EXPECT_GT(now, 1'700'000'000);
    if (input.messages.empty()) return invalid("the template says: no messages");
    std::string text = "<";
    return text.append(input.messages[0]["content"].get<std::string>()).append(">");
  }
};

// Records requests; the test plays the engine thread.
class FakeEngine final : public engine::Engine {
 public:
  Result<std::vector<engine::RequestId>> submit_all(std::vector<engine::Submission> submissions) override {
    if (refusal) return std::unexpected(*refusal);
    std::vector<engine::RequestId> ids;
    for (auto& [request, sink] : submissions) {
      last = std::move(request);
      sink_ = std::move(sink);
      ids.push_back(++id_);
    }
    return ids;
  }
  void cancel(engine::RequestId id) override { cancelled.push_back(id); }
  void finish(engine::RequestId id) override { finished.push_back(id); }
  void drain() override {}
  engine::Stats stats() const override { return {}; }
  const engine::Options& options() const override { return options_; }

  void emit_event(engine::TokenEvent event) {
    event.id = id_;
    (*sink_)({&event, 1});
  }
  void emit(std::int32_t token, FinishReason reason = FinishReason::kNone, std::string error = {}) {
    const engine::TokenEvent event{.id = id_, .token = token, .finish = reason, .error = std::move(error)};
    (*sink_)({&event, 1});
  }
  void emit_text(std::string_view text) {
    for (const char c : text) emit(static_cast<unsigned char>(c));
  }

  std::optional<Error> refusal;
  engine::Request last;
  std::vector<engine::RequestId> cancelled, finished;

 private:
  engine::RequestId id_ = 0;
  std::shared_ptr<engine::Sink> sink_;
  engine::Options options_;
};

}  // namespace tenon::generate
