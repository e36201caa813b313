#include <algorithm>
#include <utility>

#include "chat/call_reader.h"
#include "chat/json_text.h"
#include "chat/markers.h"

namespace tenon::chat {
namespace {

std::string quoted(std::string_view text) {
  return Json(std::string(text)).dump(-1, ' ', false, Json::error_handler_t::replace);
}

// FunctionGemma's notation, as JSON: it has bare keys, and strings between <escape> marks.
class Reader {
 public:
  explicit Reader(std::string_view text) : text_(text) {}

  bool object(std::string& out, int depth = 0) {
    if (depth > kMaxCallDepth || !take("{")) return false;
    out += '{';
    if (take("}")) return out += '}', true;
    for (;;) {
      std::string_view key;
      if (take(kEscape)) {
        if (!until(kEscape, key)) return false;
      } else {
        key = word(":");
      }
      if (key.empty() || !take(":")) return false;
      out += quoted(key) + ':';
      if (!value(out, depth + 1)) return false;
      if (!take(",")) break;
      out += ',';
    }
    out += '}';
    return take("}");
  }
  bool at_end() {
    skip();
    return at_ == text_.size();
  }

 private:
  static constexpr std::string_view kEscape = "<escape>";

  bool value(std::string& out, int depth) {
    if (depth > kMaxCallDepth) return false;
    skip();
    if (text_.substr(at_).starts_with('{')) return object(out, depth);
    if (take("[")) return list(out, depth);
    std::string_view text;
    if (take(kEscape)) {
      if (!until(kEscape, text)) return false;
      out += quoted(text);
      return true;
    }
    text = trimmed(word(",}]"));
    if (!json_of(text)) return false;
    out += text;  // numbers keep all of their digits
    return true;
  }
  bool list(std::string& out, int depth) {
    out += '[';
    if (take("]")) return out += ']', true;
    for (;;) {
      if (!value(out, depth + 1)) return false;
      if (!take(",")) break;
      out += ',';
    }
    out += ']';
    return take("]");
  }
  bool until(std::string_view mark, std::string_view& out) {
    const std::size_t end = text_.find(mark, at_);
    if (end == std::string_view::npos) return false;
    out = text_.substr(at_, end - at_);
    at_ = end + mark.size();
    return true;
  }
  std::string_view word(std::string_view ends) {
    skip();
    const std::size_t end = std::min(text_.find_first_of(ends, at_), text_.size());
    const std::size_t begin = std::exchange(at_, end);
    return text_.substr(begin, end - begin);
  }
  bool take(std::string_view mark) {
    skip();
    if (!text_.substr(at_).starts_with(mark)) return false;
    at_ += mark.size();
    return true;
  }
  void skip() { at_ = std::min(text_.find_first_not_of(kWhitespace, at_), text_.size()); }

  std::string_view text_;
  std::size_t at_ = 0;
};

class GemmaCall final : public CallReader {
 public:
  std::size_t push(std::string_view text, ReplyParts&) override {
    text_ += text;
    return text.size();
  }
  void finish(ReplyParts& out) override {
    auto call = read_gemma_call(text_);
    state_ = call ? State::kCall : State::kNoCall;
    if (call) out.push_back(*std::move(call));
  }
};

}  // namespace

std::optional<ReplyPart> read_gemma_call(std::string_view text) {
  constexpr std::string_view kCall = "call:";
  text = trimmed(text);
  const std::size_t brace = text.find('{');
  if (!text.starts_with(kCall) || brace == std::string_view::npos) return std::nullopt;
  const std::string_view name = trimmed(text.substr(kCall.size(), brace - kCall.size()));
  Reader reader(text.substr(brace));
  std::string arguments;
  if (name.empty() || !reader.object(arguments) || !reader.at_end()) return std::nullopt;
  return ReplyPart{ReplyPart::Kind::kToolCall, std::move(arguments), std::string(name)};
}

std::unique_ptr<CallReader> gemma_call() { return std::make_unique<GemmaCall>(); }

}  // namespace tenon::chat
