#include <algorithm>
#include <utility>

#include "chat/call_reader.h"
#include "chat/json_text.h"
#include "chat/markers.h"
#include "chat/reply_parts.h"

namespace tenon::chat {
namespace {

using Kind = ReplyPart::Kind;

bool is_space(char c) { return kWhitespace.find(c) != std::string_view::npos; }
bool is_arguments(std::string_view key) { return key == "arguments" || key == "parameters"; }
bool is_envelope(std::string_view key) { return key == "type" || key == "id"; }

class JsonCall final : public CallReader {
 public:
  JsonCall(const CallOptions& options, bool marked) : options_(options), marked_(marked) {}

  std::size_t push(std::string_view text, ReplyParts& out) override {
    std::size_t taken = 0;
    while (taken < text.size() && state_ == State::kOpen && !broken_ && step(text[taken], out)) ++taken;
    show(out);
    if (broken_ && state_ == State::kOpen) resolve(out);
    return taken;
  }
  void finish(ReplyParts& out) override {
    if (state_ == State::kOpen) resolve(out);
  }

 private:
  enum class Expect { kObject, kKey, kColon, kValue, kScalarEnd, kComma };
  static constexpr std::size_t kNone = std::string::npos;

  // False: `c` does not belong to the object, which ends before it.
  bool step(char c, ReplyParts& out) {
    const std::size_t at = text_.size();
    const bool between = nesting_.depth() <= 1 && !nesting_.in_string();
    if (between && !fits(c)) {
      broken_ = true;
      return false;
    }
    text_ += c;
    nesting_.push(c);
    if (nesting_.in_string() || nesting_.depth() > 1) {
      if (between) begin(at, c, out);
      return true;
    }
    if (!between) {  // the end of a string, an object or an array
      expect_ == Expect::kKey ? end_key() : end_value(at + 1);
    } else if (!is_space(c)) {
      punctuation(at, c, out);
    }
    return true;
  }
  // Whether `c` may come next between the parts of the object.
  bool fits(char c) const {
    if (is_space(c)) return true;
    switch (expect_) {
      case Expect::kObject:
        return c == '{';
      case Expect::kKey:
        return c == '"' || c == '}';
      case Expect::kColon:
        return c == ':';
      case Expect::kValue:
        return c != ',' && c != ':' && c != '}' && c != ']' && (!is_arguments(key_) || arguments_may_begin(c));
      case Expect::kScalarEnd:
        return c != '"' && c != '{' && c != '[' && c != ']' && c != ':';
      case Expect::kComma:
        return c == ',' || c == '}';
    }
    return false;
  }
  static bool arguments_may_begin(char c) { return c == '{' || c == '"' || c == 'n'; }

  void begin(std::size_t at, char c, ReplyParts& out) {
    begin_ = at;
    if (expect_ != Expect::kValue || c != '{' || !is_arguments(key_) || arguments_ != kNone) return;
    if (!options_.in_pieces || name_.empty()) return;
    shown_ = arguments_ = at;
    out.push_back({Kind::kToolCall, "", name_});
  }
  void punctuation(std::size_t at, char c, ReplyParts& out) {
    if (expect_ == Expect::kValue) {
      begin_ = at;
      expect_ = Expect::kScalarEnd;
      return;
    }
    if (c == '{') expect_ = Expect::kKey;
    if (c == ':') expect_ = Expect::kValue;
    if (c != ',' && c != '}') return;
    if (expect_ == Expect::kScalarEnd) end_value(at);
    expect_ = Expect::kKey;
    if (c == '}' && !broken_) end_object(out);
  }
  void end_key() {
    const auto key = json_of(std::string_view(text_).substr(begin_));
    key_ = key && key->is_string() ? key->get<std::string>() : std::string();
    expect_ = Expect::kColon;
    if (key_ == "name" ? name_.empty() : is_arguments(key_) ? arguments_end_ == kNone : is_envelope(key_)) return;
    others_ = true;
    if (!marked_) broken_ = true;
  }
  void end_value(std::size_t end) {
    expect_ = Expect::kComma;
    const std::string_view value = trimmed(std::string_view(text_).substr(begin_, end - begin_));
    if (key_ == "name" && name_.empty()) {
      const auto name = json_of(value);
      if (name && name->is_string()) name_ = name->get<std::string>();
      const bool known = std::ranges::find(options_.names, name_) != options_.names.end();
      if (!marked_ && !known) name_.clear();
      if (name_.empty()) broken_ = true;
    } else if (is_arguments(key_) && value == "null") {
      none_ = true;
    } else if (is_arguments(key_) && arguments_end_ == kNone && (arguments_ == kNone || arguments_ == begin_)) {
      arguments_ = begin_;
      arguments_end_ = begin_ + value.size();
    }
    if (!broken_) accepted_ = end;
  }
  void end_object(ReplyParts& out) {
    if (shown_ != kNone) {
      state_ = State::kCall;
      return;
    }
    auto arguments = whole_arguments();
    if (name_.empty() || !arguments || !json_of(text_)) {
      state_ = State::kNoCall;
      return;
    }
    out.push_back({Kind::kToolCall, std::move(*arguments), name_});
    state_ = State::kCall;
  }
  // As the model wrote them; a JSON object.
  std::optional<std::string> whole_arguments() const {
    if (arguments_ == kNone) return none_ || (marked_ && !others_) ? std::optional<std::string>("{}") : std::nullopt;
    std::string text = text_.substr(arguments_, arguments_end_ - arguments_);
    auto json = json_of(text);
    if (json && json->is_string()) {
      text = json->get<std::string>();
      json = json_of(text);
    }
    return json && json->is_object() ? std::optional(std::move(text)) : std::nullopt;
  }
  void show(ReplyParts& out) {
    if (shown_ == kNone) return;
    const std::size_t end = std::min(arguments_end_, text_.size());
    add(out, Kind::kArguments, std::string_view(text_).substr(shown_, end - shown_));
    shown_ = end;
  }
  // An object that ends too early is a call if it has what a call needs. What has been shown cannot be taken back.
  void resolve(ReplyParts& out) {
    state_ = shown_ == kNone ? State::kNoCall : State::kCall;
    if (shown_ == kNone && !name_.empty() && arguments_end_ != kNone) {
      if (auto arguments = whole_arguments()) {
        out.push_back({Kind::kToolCall, std::move(*arguments), name_});
        state_ = State::kCall;
      }
    }
    if (state_ == State::kCall && arguments_end_ != kNone) rest_ = text_.substr(accepted_);
  }

  const CallOptions& options_;
  const bool marked_;
  JsonNesting nesting_;
  Expect expect_ = Expect::kObject;
  std::string key_, name_;
  bool others_ = false;       // keys that are no part of a call
  bool none_ = false;         // the arguments are null
  bool broken_ = false;       // the object ends here
  std::size_t accepted_ = 0;  // the end of its last part that may be there
  std::size_t begin_ = 0;     // of the key or value, in text_
  std::size_t arguments_ = kNone, arguments_end_ = kNone;
  std::size_t shown_ = kNone;  // the end of what of the arguments has been given out
};

class Arguments final : public CallReader {
 public:
  Arguments(std::string name, const CallOptions& options) : name_(std::move(name)), in_pieces_(options.in_pieces) {}

  std::size_t push(std::string_view text, ReplyParts& out) override {
    const bool begins = text_.empty() && !text.empty();
    std::size_t taken = 0;
    while (taken < text.size() && state_ == State::kOpen) {
      nesting_.push(text[taken++]);
      if (nesting_.depth() == 0) state_ = State::kCall;
    }
    text_ += text.substr(0, taken);
    if (in_pieces_) {
      if (begins) out.push_back({Kind::kToolCall, "", name_});
      add(out, Kind::kArguments, text.substr(0, taken));
    } else if (state_ == State::kCall) {
      if (json_of(text_)) {
        out.push_back({Kind::kToolCall, text_, name_});
      } else {
        state_ = State::kNoCall;
      }
    }
    return taken;
  }
  void finish(ReplyParts&) override {
    if (state_ == State::kOpen) state_ = in_pieces_ && !text_.empty() ? State::kCall : State::kNoCall;
  }

 private:
  const std::string name_;
  const bool in_pieces_;
  JsonNesting nesting_;
};

}  // namespace

std::unique_ptr<CallReader> json_call(const CallOptions& options, bool marked) {
  return std::make_unique<JsonCall>(options, marked);
}

std::unique_ptr<CallReader> arguments_of(std::string name, const CallOptions& options) {
  return std::make_unique<Arguments>(std::move(name), options);
}

}  // namespace tenon::chat
