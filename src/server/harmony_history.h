// What gpt-oss's chat template expects of a conversation that other clients send otherwise.
#pragma once

#include "base/json.h"

namespace tenon::server {

/// Whether it has "tool_calls", one at least.
bool has_calls(const Json& message);

/// OpenAI's messages as the template reads them: a "content" is not null (on which it fails), the reasoning before a
/// call is in "thinking" (it reads no "reasoning_content", and fails where there is content too), and a message has one
/// call, whose output follows it (of several it writes the first).
Json harmony_history(const Json& messages);

}  // namespace tenon::server
