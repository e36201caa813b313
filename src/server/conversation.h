// "messages", "tools" and what else of a chat request its chat template is given.
#pragma once

#include "base/json.h"
#include "base/result.h"
#include "chat/chat_template.h"
#include "chat/reply_parser.h"

namespace tenon::server {

class Fields;
struct ParsedRequest;

/// "messages" and what else a chat template gets; `format`: of the model's replies.
Result<chat::RenderInput> parse_conversation(Fields& fields, const chat::ReplyFormat& format);
/// "tools", where the template only shows them.
Status parse_tool_list(Fields& fields, const chat::ReplyFormat& format, chat::RenderInput& out);
/// "tools", "tool_choice" and "parallel_tool_calls" of a reply that may call them.
Status parse_tools(Fields& fields, ParsedRequest& out, chat::RenderInput& input);
/// "reasoning_effort"; `is_read`: by the chat template, else it is refused, but for "none" where the model never
/// `reasons`.
Status parse_effort(Fields& fields, bool is_read, bool reasons, chat::RenderInput& input);

/// "documents"; `are_read`: by the chat template, else they are refused.
Status parse_documents(Fields& fields, bool are_read, chat::RenderInput& input);

}  // namespace tenon::server
