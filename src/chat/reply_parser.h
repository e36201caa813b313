// A reply's text -> what of it is content, reasoning and tool calls, while it comes. Pure: no I/O, no model.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace tenon::chat {

/// A piece of a reply. Pieces of the same kind that follow each other are one text; a tool call is always whole.
struct ReplyPart {
  enum class Kind { kContent, kReasoning, kToolCall };
  Kind kind = Kind::kContent;
  std::string text;       ///< of a tool call: its arguments, a JSON object
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

/// How a model writes tool calls and reasoning; empty: not at all.
struct ReplyFormat {
  std::string tools;      ///< "hermes", "llama3_json", "mistral", "gemma", "harmony"
  std::string reasoning;  ///< "qwen3" (<think>), "harmony"

  bool operator==(const ReplyFormat&) const = default;
  /// Whether the markers are special tokens, which must then be part of the text.
  bool needs_special_tokens() const;
};

bool is_tool_format(std::string_view name);
bool is_reasoning_format(std::string_view name);
/// What a chat template writes: the markers that it has in its source.
ReplyFormat format_of_template(std::string_view source);

/// `prompt` is the rendered one: a template may have begun the reasoning already. `tools`: names of the functions that
/// may be called; none: calls are not looked for.
std::unique_ptr<ReplyParser> make_reply_parser(const ReplyFormat& format, const std::vector<std::string>& tools,
                                               std::string_view prompt);

}  // namespace tenon::chat
