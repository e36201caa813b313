// What one request may take of the memory.
#pragma once

#include <span>

#include "generate/generator.h"
#include "server/openai.h"

namespace tenon::server {

/// An error where a request asks for so much at once that holding it could stop the process: prompts, bad words and
/// stop tokens, of which every choice has its own, and its place in the form; logprobs of prompts and replies, which
/// are kept until all of them can be shown. It names the parameter. `prompts` are those of the request, `form` the
/// bytes of the grammar that each reply follows (0: none), `context` the most tokens of a prompt and its reply.
Status check_memory(const ParsedRequest& request, std::span<const generate::EncodedPrompt> prompts, std::size_t form,
                    std::int64_t context);

}  // namespace tenon::server
