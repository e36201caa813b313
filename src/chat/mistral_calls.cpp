#include <algorithm>
#include <utility>

#include "chat/call_parsers.h"
#include "chat/markers.h"
#include "chat/reply_parts.h"

namespace tenon::chat {
namespace {

constexpr std::string_view kMarker = "[TOOL_CALLS]", kArguments = "[ARGS]", kCallId = "[CALL_ID]";
// What a text begins with, up to the arguments: name, name[ARGS] or name[CALL_ID]id[ARGS].
class Header {
 public:
  explicit Header(std::string_view text) : text_(text) {
    name_ = word();
    if (name_.empty()) return;
    if (take(kCallId) && !std::ranges::all_of(word(), is_of_id)) return;
    take(kArguments);
    open_ = open_ || at_ == text_.size();
    is_one_ = !open_ && text_[at_] == '{';
  }
  bool is_open() const { return open_; }  ///< it may become one
  bool is_one() const { return is_one_; }
  std::string_view name() const { return name_; }
  std::size_t size() const { return at_; }

 private:
  static bool is_of_id(char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
  // A word, and the white space after it.
  std::string_view word() {
    const std::size_t begin = at_;
    at_ = std::min(text_.find_first_of(" \t\r\n[{", at_), text_.size());
    const std::string_view out = text_.substr(begin, at_ - begin);
    skip();
    return out;
  }
  bool take(std::string_view marker) {
    const std::string_view rest = text_.substr(at_);
    if (!rest.starts_with(marker)) {
      open_ = open_ || marker.starts_with(rest);
      return false;
    }
    at_ += marker.size();
    skip();
    return true;
  }
  void skip() { at_ = std::min(text_.find_first_not_of(kWhitespace, at_), text_.size()); }

  const std::string_view text_;
  std::string_view name_;
  std::size_t at_ = 0;
  bool open_ = false, is_one_ = false;
};

class Mistral final : public ReplyParser {
 public:
  explicit Mistral(const CallOptions& options) : options_(options) {}

  void push(std::string_view text, ReplyParts& out) override {
    held_ += text;
    while (step(out)) {
    }
  }
  void finish(ReplyParts& out) override {
    if (state_ == State::kCall) {
      call_->finish(out);
      end_call(out);
    }
    if (state_ == State::kItem && !before_.starts_with(kMarker)) before_.clear();  // a ',' after a call
    if (state_ == State::kAfter) held_.erase(0, std::min(held_.find_first_not_of(kWhitespace), held_.size()));
    add_content(out, std::exchange(before_, {}));
    add_content(out, std::exchange(held_, {}));
  }

 private:
  // kMarked: after the marker. kItem: where an object of an array may begin. kAfter: after a call.
  enum class State { kText, kMarked, kItem, kCall, kAfter };

  // Whether there may be more to read.
  bool step(ReplyParts& out) {
    switch (state_) {
      case State::kText:
        return read_text(out);
      case State::kMarked:
        return begin_calls(out);
      case State::kItem:
        return begin_item(out);
      case State::kCall:
        held_.erase(0, call_->push(held_, out));
        if (call_->state() == CallReader::State::kOpen) return false;
        end_call(out);
        return true;
      case State::kAfter:
        return in_list_ ? next_item(out) : next_call(out);
    }
    return false;
  }
  bool read_text(ReplyParts& out) {
    const std::size_t at = held_.find(kMarker);
    const bool found = at != std::string::npos;
    const std::size_t shown = found ? at : held_.size() - begun_marker(held_, {kMarker});
    add_content(out, std::string_view(held_).substr(0, shown));
    held_.erase(0, shown);
    if (found) begin_marked();
    return found;
  }
  void begin_marked() {
    before_ = kMarker;
    held_.erase(0, kMarker.size());
    state_ = State::kMarked;
  }
  bool begin_calls(ReplyParts& out) {
    const std::size_t first = skip();
    if (first == held_.size()) return false;
    if (held_[first] == '[') {
      const std::string_view text = std::string_view(held_).substr(first);
      if (text.starts_with(kMarker)) return text_after_all(out);
      if (kMarker.starts_with(text)) return false;
      take(first + 1);
      in_list_ = true;
      state_ = State::kItem;
      return true;
    }
    Header header(std::string_view(held_).substr(first));
    if (header.is_open()) return false;
    if (!header.is_one()) return text_after_all(out);
    call_ = arguments_of(std::string(header.name()), options_);
    take(first + header.size());
    in_list_ = false;
    state_ = State::kCall;
    return true;
  }
  bool begin_item(ReplyParts& out) {
    const std::size_t first = skip();
    if (first == held_.size()) return false;
    if (held_[first] != '{') return text_after_all(out);
    take(first);
    call_ = json_call(options_, true);
    state_ = State::kCall;
    return true;
  }
  void end_call(ReplyParts& out) {
    if (call_->state() == CallReader::State::kCall) {
      held_.insert(0, call_->take_rest());
      before_.clear();
      state_ = State::kAfter;
    } else {
      before_ += call_->text();
      text_after_all(out);
    }
    call_.reset();
  }
  // After an object of the array.
  bool next_item(ReplyParts& out) {
    const std::size_t first = skip();
    if (first == held_.size()) return false;
    if (held_[first] == ',') {
      take(first + 1);
      state_ = State::kItem;
      return true;
    }
    if (held_[first] != ']') return text_after_all(out);
    held_.erase(0, first + 1);
    in_list_ = false;
    return true;
  }
  // After an array, or after a call that has its own marker. White space between calls and text is neither.
  bool next_call(ReplyParts& out) {
    held_.erase(0, skip());
    if (held_.starts_with(kMarker)) {
      begin_marked();
      return true;
    }
    return kMarker.starts_with(held_) ? false : text_after_all(out);
  }

  std::size_t skip() const { return std::min(held_.find_first_not_of(kWhitespace), held_.size()); }
  void take(std::size_t size) {
    before_ += held_.substr(0, size);
    held_.erase(0, size);
  }
  bool text_after_all(ReplyParts& out) {
    add_content(out, std::exchange(before_, {}));
    state_ = State::kText;
    return true;
  }

  const CallOptions options_;
  State state_ = State::kText;
  std::unique_ptr<CallReader> call_;
  std::string held_;
  std::string before_;  // what led to the call: it is content if it is none
  bool in_list_ = false;
};

}  // namespace

std::unique_ptr<ReplyParser> mistral_calls(const CallOptions& options) { return std::make_unique<Mistral>(options); }

}  // namespace tenon::chat
