#include <algorithm>
#include <utility>

#include "chat/call_parsers.h"
#include "chat/markers.h"
#include "chat/reply_parts.h"

namespace tenon::chat {
namespace {

class Bracketed final : public ReplyParser {
 public:
  Bracketed(std::string_view open, std::string_view close, std::function<std::unique_ptr<CallReader>()> reader)
      : open_(open), close_(close), make_reader_(std::move(reader)) {}

  void push(std::string_view text, ReplyParts& out) override {
    held_ += text;
    while (call_ ? read_call(out) : read_text(out)) {
    }
  }
  void finish(ReplyParts& out) override {
    if (call_) {  // the end of the reply ends a call too
      held_.erase(0, call_->push(held_, out));
      call_->finish(out);
      held_.insert(0, call_->take_rest());
      if (call_->state() == CallReader::State::kCall && close_.starts_with(trimmed(held_))) held_.clear();
      end_call(out);
    }
    content(held_, out);
    held_.clear();
    if (!called_) add_content(out, std::exchange(space_, {}));
  }

 private:
  // Both return whether there may be more to read.
  bool read_text(ReplyParts& out) {
    const std::size_t at = held_.find(open_);
    const bool found = at != std::string::npos;
    const std::size_t shown = found ? at : held_.size() - begun_marker(held_, {open_});
    content(std::string_view(held_).substr(0, shown), out);
    held_.erase(0, found ? at + open_.size() : shown);
    if (found) call_ = make_reader_();
    return found;
  }
  bool read_call(ReplyParts& out) {
    const std::size_t at = held_.find(close_);
    const bool found = at != std::string::npos;
    const std::size_t size = found ? at : held_.size() - begun_marker(held_, {close_});
    const std::size_t taken = call_->push(std::string_view(held_).substr(0, size), out);
    held_.erase(0, taken);
    if (taken == size && found && call_->state() == CallReader::State::kOpen) call_->finish(out);
    switch (call_->state()) {
      case CallReader::State::kOpen:
        return false;
      case CallReader::State::kNoCall:
        end_call(out);
        return true;
      case CallReader::State::kCall:
        break;
    }
    held_.insert(0, call_->take_rest());
    const std::size_t rest = held_.find_first_not_of(kWhitespace);
    held_.erase(0, std::min(rest, held_.size()));
    if (!held_.starts_with(close_) && close_.starts_with(held_)) return false;
    if (held_.starts_with(close_)) held_.erase(0, close_.size());
    end_call(out);
    return true;
  }
  void end_call(ReplyParts& out) {
    if (call_->state() == CallReader::State::kCall) {
      space_.clear();
      called_ = true;
    } else {
      content(open_, out);
      content(call_->text(), out);
    }
    call_.reset();
  }
  void content(std::string_view text, ReplyParts& out) {
    const std::size_t last = text.find_last_not_of(kWhitespace);
    if (last == std::string_view::npos) {
      space_ += text;
      return;
    }
    add_content(out, std::exchange(space_, std::string(text.substr(last + 1))));
    add_content(out, text.substr(0, last + 1));
  }

  const std::string_view open_, close_;
  const std::function<std::unique_ptr<CallReader>()> make_reader_;
  std::unique_ptr<CallReader> call_;  // null: outside
  std::string held_, space_;
  bool called_ = false;
};

}  // namespace

std::unique_ptr<ReplyParser> bracketed_calls(std::string_view open, std::string_view close,
                                             std::function<std::unique_ptr<CallReader>()> reader) {
  return std::make_unique<Bracketed>(open, close, std::move(reader));
}

}  // namespace tenon::chat
