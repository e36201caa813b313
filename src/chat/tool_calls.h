// One tool call's text -> name and arguments, for each way in which models write them. Pure functions.
#pragma once

#include <optional>
#include <string_view>

#include "chat/reply_parser.h"

namespace tenon::chat {

/// {"name": "f", "arguments": {...}} (or "parameters"; arguments may be a string of JSON, and missing where nothing
/// else is there that would be lost). None if it is anything else.
std::optional<ReplyPart> json_call(std::string_view text);

/// Llama 3: such objects, one or several with ';' between them. Without a marker before them they are calls only if
/// they have arguments and one of `names`: a JSON answer looks the same.
std::optional<ReplyParts> llama3_calls(std::string_view text, const std::vector<std::string>& names, bool marked);

/// Mistral, after [TOOL_CALLS]: an array of such objects, or name[ARGS]{...} with further [TOOL_CALLS] between.
std::optional<ReplyParts> mistral_calls(std::string_view text);

/// FunctionGemma: call:name{key:value,...}; strings stand between <escape> marks.
std::optional<ReplyPart> gemma_call(std::string_view text);

}  // namespace tenon::chat
