// Requests to /v1/responses, which are chats in other words. Pure functions.
// https://platform.openai.com/docs/api-reference/responses
#pragma once

#include "server/openai.h"

namespace tenon::server {

/// Errors name the parameter; what needs replies that are stored, or tools that the server would run, is refused.
Result<ParsedRequest> parse_responses_request(const Json& body, const RequestDefaults& defaults = {},
                                              const chat::ReplyFormat& format = {});

/// An error of what chats share, with the names that this endpoint has for its parameters.
Error in_words_of_responses(Error error);

}  // namespace tenon::server
