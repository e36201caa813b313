// /tokenize and /detokenize, in vLLM's shapes. Pure functions of a body.
#pragma once

#include "base/json.h"
#include "base/result.h"
#include "chat/reply_parser.h"
#include "server/served.h"

namespace tenon::server {

/// {"prompt"} or {"messages", "tools", "add_generation_prompt", "chat_template_kwargs"}, each with
/// "add_special_tokens" (of a conversation false by default: its template writes them) and "return_token_strs"
/// -> {"count", "max_model_len", "tokens", "token_strs"}. "model" is checked by the caller.
Result<Json> tokenize(const Served& served, const Json& body, int max_length, const chat::ReplyFormat& format,
                      bool allow_unknown);

/// {"tokens"} -> {"prompt"}, special tokens included.
Result<Json> detokenize(const Served& served, const Json& body, bool allow_unknown);

}  // namespace tenon::server
