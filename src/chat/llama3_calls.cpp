#include <algorithm>
#include <utility>

#include "chat/call_parsers.h"
#include "chat/markers.h"
#include "chat/reply_parts.h"

namespace tenon::chat {
namespace {

class Llama3 final : public ReplyParser {
 public:
  explicit Llama3(const CallOptions& options) : options_(options) {}

  void push(std::string_view text, ReplyParts& out) override {
    held_ += text;
    while (state_ == State::kText ? read_text(out) : state_ == State::kCall ? read_call(out) : look_for_call(out)) {
    }
  }
  void finish(ReplyParts& out) override {
    if (state_ == State::kCall) {
      call_->finish(out);
      end_call(out);
    }
    if (state_ == State::kBetween) {
      if (called_) held_.erase(0, std::min(held_.find_first_not_of(kBetweenCalls), held_.size()));
      begin_text(out);
    }
    add_content(out, std::exchange(held_, {}));
  }

 private:
  // kBetween: a call may begin, before any text of the reply, after a marker, and after another call.
  enum class State { kBetween, kCall, kText };
  static constexpr std::string_view kMarker = "<|python_tag|>", kBetweenCalls = " \t\r\n;";

  // All three return whether there may be more to read.
  bool look_for_call(ReplyParts& out) {
    const std::size_t first = held_.find_first_not_of(called_ ? kBetweenCalls : kWhitespace);
    if (first == std::string::npos) return false;
    const std::string_view text = std::string_view(held_).substr(first);
    if (text.starts_with('{')) {
      before_ += held_.substr(0, first);
      held_.erase(0, first);
      call_ = json_call(options_, marked_);
      state_ = State::kCall;
      return true;
    }
    if (before_.empty() && text.starts_with(kMarker)) {
      before_ = held_.substr(0, first + kMarker.size());
      held_.erase(0, before_.size());
      marked_ = true;
      return true;
    }
    if (before_.empty() && kMarker.starts_with(text)) return false;
    if (called_) held_.erase(0, first);
    begin_text(out);
    return true;
  }
  bool read_call(ReplyParts& out) {
    held_.erase(0, call_->push(held_, out));
    if (call_->state() == CallReader::State::kOpen) return false;
    end_call(out);
    return true;
  }
  void end_call(ReplyParts& out) {
    const bool is_call = call_->state() == CallReader::State::kCall;
    if (is_call) {
      held_.insert(0, call_->take_rest());
      before_.clear();
      called_ = true;
      state_ = State::kBetween;
    } else {
      begin_text(out);
      add_content(out, call_->text());
    }
    call_.reset();
  }
  void begin_text(ReplyParts& out) {
    add_content(out, std::exchange(before_, {}));
    marked_ = false;
    state_ = State::kText;
  }
  bool read_text(ReplyParts& out) {
    const std::size_t at = held_.find(kMarker);
    const bool found = at != std::string::npos;
    const std::size_t shown = found ? at : held_.size() - begun_marker(held_, {kMarker});
    add_content(out, std::string_view(held_).substr(0, shown));
    held_.erase(0, found ? at + kMarker.size() : shown);
    if (!found) return false;
    before_ = kMarker;
    marked_ = true;
    state_ = State::kBetween;
    return true;
  }

  const CallOptions options_;
  State state_ = State::kBetween;
  std::unique_ptr<CallReader> call_;
  std::string held_;
  std::string before_;  // what led to the call: it is content if it is none
  bool marked_ = false, called_ = false;
};

}  // namespace

std::unique_ptr<ReplyParser> llama3_calls(const CallOptions& options) { return std::make_unique<Llama3>(options); }

}  // namespace tenon::chat
