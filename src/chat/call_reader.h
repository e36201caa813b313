// One tool call that comes in pieces -> its name and arguments, in each of the notations.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "chat/reply_parser.h"

namespace tenon::chat {

class CallReader {
 public:
  enum class State { kOpen, kCall, kNoCall };
  virtual ~CallReader() = default;

  /// Takes what belongs to the call, up to its end or to where it is clear that it is none; returns how much that is.
  virtual std::size_t push(std::string_view text, ReplyParts& out) = 0;
  /// The call's text has ended: it is a call now, or none.
  virtual void finish(ReplyParts& out) = 0;

  State state() const { return state_; }
  /// All that it took. Where it is no call, nothing of it has been given out.
  const std::string& text() const { return text_; }
  /// What it took and is no part of the call.
  std::string take_rest() { return std::exchange(rest_, {}); }

 protected:
  State state_ = State::kOpen;
  std::string text_, rest_;
};

/// {"name": "f", "arguments": {...}}, or "parameters"; the arguments may be a string of JSON, and missing where nothing
/// else is there that would be lost. Without a marker before it (`marked`) it is a call only with arguments, only of a
/// function that is known, and only if nothing but its name, type and id comes before them: a JSON answer looks the
/// same. Other keys of a marked call are no text. An object that breaks off after the arguments is a call too; what
/// comes then is the rest.
std::unique_ptr<CallReader> json_call(const CallOptions& options, bool marked);

/// {...}: the arguments of a function whose name has been read.
std::unique_ptr<CallReader> arguments_of(std::string name, const CallOptions& options);

/// FunctionGemma: call:name{key:value,...}; strings stand between <escape> marks. Always whole: it becomes JSON.
std::unique_ptr<CallReader> gemma_call();
std::optional<ReplyPart> read_gemma_call(std::string_view text);

}  // namespace tenon::chat
