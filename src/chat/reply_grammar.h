// What a reply must be, in the notation of the model: a Lark grammar (llguidance's variant) of reasoning, content and
// tool calls. What it allows is what make_reply_parser reads. Pure text.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "chat/reply_parser.h"

namespace tenon::chat {

/// A tool that may be called.
struct CallRule {
  std::string name;
  std::string arguments;   ///< a Lark expression of a JSON object
  std::string whole = {};  ///< the call as a Lark expression; empty: as the model's notation has it
};

struct ReplyRules {
  std::vector<CallRule> calls;  ///< empty: none
  bool must_call = false;       ///< the reply is calls and nothing else
  bool several = false;         ///< more than one call
  std::string content;          ///< a Lark expression; empty: any text
  std::string continued = {};   ///< the message that the reply goes on with; empty: none
};

/// A marker as a Lark expression: the number of a special token (<[7]>), or a string.
using MarkerRule = std::function<std::string(std::string_view marker)>;

/// A string as a Lark expression.
std::string lark_string(std::string_view text);

/// The format in which forced calls are written: the model's own; JSON objects where its notation is not JSON.
ReplyFormat forced_format(const ReplyFormat& format);

/// Whether calls in a reply that need not have any can follow a grammar.
bool can_follow_rules(const ReplyFormat& format);

/// Whether a call is an object {"name": …, "parameters": …} without a marker. Beside content in JSON, which begins
/// alike, its rule must then be a `whole` in JSON too: a lexer that has begun a longer text does not go back.
bool calls_look_like_json(const ReplyFormat& format);

/// A Lark grammar. Reasoning that the format has may come first. `prompt` is the rendered one: a template may have
/// begun the reasoning already.
std::string reply_grammar(const ReplyFormat& format, std::string_view prompt, const ReplyRules& rules,
                          const MarkerRule& marker);

}  // namespace tenon::chat
