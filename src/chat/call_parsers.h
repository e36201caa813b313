// The parsers of replies with tool calls: where calls are, and what around them is content.
#pragma once

#include <functional>
#include <memory>
#include <string_view>

#include "chat/call_reader.h"
#include "chat/reply_parser.h"

namespace tenon::chat {

/// Each call between two markers. White space around them is no content.
std::unique_ptr<ReplyParser> bracketed_calls(std::string_view open, std::string_view close,
                                             std::function<std::unique_ptr<CallReader>()> reader);

/// Llama 3: objects, with white space or ';' between them, that begin the reply or follow <|python_tag|>.
std::unique_ptr<ReplyParser> llama3_calls(const CallOptions& options);

/// Mistral, after [TOOL_CALLS]: an array of objects, or name[ARGS]{...}, which further [TOOL_CALLS] may follow.
std::unique_ptr<ReplyParser> mistral_calls(const CallOptions& options);

}  // namespace tenon::chat
