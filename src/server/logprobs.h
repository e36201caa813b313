// Logprobs in the two shapes of OpenAI's API.
#pragma once

#include <span>

#include "base/json.h"
#include "generate/generator.h"

namespace tenon::server {

/// {"content": [{"token", "logprob", "bytes", "top_logprobs": [...]}], "refusal": null}; null of no tokens.
Json chat_logprobs(std::span<const generate::ScoredToken> tokens);

/// {"tokens", "token_logprobs", "top_logprobs", "text_offset"}; null of no tokens. `offset`, in code points, is where
/// in the choice's text the first token's begins; it moves on to where the next one's does.
Json text_logprobs(std::span<const generate::ScoredToken> tokens, std::int64_t& offset);

}  // namespace tenon::server
