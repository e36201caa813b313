// A reply's text -> what of it is content, reasoning and tool calls, while it comes. Pure: no I/O, no model.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace tenon::chat {

/// A piece of a reply. Pieces of the same kind that follow each other are one text. A tool call is a piece with its
/// name, and its arguments are this piece's text and that of the kArguments that follow it.
struct ReplyPart {
  enum class Kind { kContent, kReasoning, kToolCall, kArguments };
  Kind kind = Kind::kContent;
  std::string text;       ///< of a tool call: its arguments, a JSON object as the model wrote it
  std::string name = {};  ///< of a tool call: the function

  bool operator==(const ReplyPart&) const = default;
};
using ReplyParts = std::vector<ReplyPart>;

/// What looks like a tool call but cannot be read stays content, so that nothing of a reply is lost.
class ReplyParser {
 public:
  virtual ~ReplyParser() = default;
  /// The next text of the reply. What could be the beginning of a marker is held back.
  virtual void push(std::string_view text, ReplyParts& out) = 0;
  /// The reply has ended.
  virtual void finish(ReplyParts& out) = 0;
};

/// Which tool calls are looked for.
struct CallOptions {
  std::vector<std::string> names = {};  ///< of the functions that may be called; empty: calls are not looked for
  /// A call is given out while it comes: its name as soon as its arguments begin, then these. It then stays a call,
  /// even if it breaks off. Else a call is given out whole, and what cannot be read as one is content.
  bool in_pieces = false;
};

/// How a model writes tool calls and reasoning; empty: not at all.
struct ReplyFormat {
  std::string tools;      ///< "hermes", "llama3_json", "mistral", "gemma", "harmony"
  std::string reasoning;  ///< "qwen3" (<think>), "harmony"
  /// The template shows tools, but does not read the "tool_calls" of messages (SmolLM3).
  bool calls_in_content = false;

  bool operator==(const ReplyFormat&) const = default;
  /// Whether the markers are special tokens, which must then be part of the text.
  bool needs_special_tokens() const;
};

bool is_tool_format(std::string_view name);
bool is_reasoning_format(std::string_view name);
/// What a chat template writes: the markers that it has in its source.
ReplyFormat format_of_template(std::string_view source);

/// Whether a reply begins inside of <think>…</think>: the template has begun it in the rendered prompt, or the message
/// that the reply goes on with has (empty: none).
bool begins_in_thought(std::string_view prompt, std::string_view continued);

/// `prompt` is the rendered one, `continued` the message that the reply goes on with.
std::unique_ptr<ReplyParser> make_reply_parser(const ReplyFormat& format, const CallOptions& calls,
                                               std::string_view prompt, std::string_view continued = {});

}  // namespace tenon::chat
