// "input" of a request to /v1/responses -> the messages of a chat.
#pragma once

#include "base/json.h"
#include "base/result.h"

namespace tenon::server {

/// `input` is a text or a list of items; `instructions`, where they are not null, come first, as a system message. What
/// the model said in a row (its reasoning, a message, calls) is one assistant message. Messages of developers are those
/// of the system: templates know no others. Errors name the item: "input[2]".
Result<Json> messages_of_input(const Json& input, const Json& instructions);

}  // namespace tenon::server
