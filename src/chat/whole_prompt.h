// The prompt of a conversation as clients send it, with all that is in it.
#pragma once

#include <cstdint>
#include <string>

#include "base/result.h"
#include "chat/chat_template.h"

namespace tenon::chat {

/// What the template renders; where it fails on a "content" that is null, as OpenAI's clients have it beside calls,
/// that is taken for "". Templates leave out what they do not know, without a word: a second system message, another
/// role, calls. So it is an error of kInvalidArgument if the text of a message is not in the prompt, or if calls make
/// no difference to it. What assistants said is not looked for (templates take thoughts out of it on purpose), nor are
/// tools' outputs (which are written in many ways).
Result<std::string> render_whole(const ChatTemplate& chat_template, const RenderInput& input, std::int64_t now);

/// Whether tools make a difference to a prompt: the model learns of them. True also where that cannot be tried.
bool shows_tools(const ChatTemplate& chat_template);

}  // namespace tenon::chat
