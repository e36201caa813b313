// Logprobs in the two shapes of OpenAI's API, and those of prompts in vLLM's.
#pragma once

#include <span>

#include "base/json.h"
#include "generate/generator.h"

namespace tenon::server {

/// {"content": [{"token", "logprob", "bytes", "top_logprobs": [...]}], "refusal": null}; null of no tokens.
/// `as_ids`: tokens are named "token_id:7".
Json chat_logprobs(std::span<const generate::ScoredToken> tokens, bool as_ids = false);

/// {"tokens", "token_logprobs", "top_logprobs", "text_offset"}; null of no tokens. `offset`, in code points, is where
/// in the choice's text the first token's begins; it moves on to where the next one's does.
Json text_logprobs(std::span<const generate::ScoredToken> tokens, std::int64_t& offset, bool as_ids = false);

/// {"ID": {"logprob", "rank", "decoded_token"}} of a prompt's token and the `count` best ones in its place; null of the
/// first token.
Json prompt_logprob(const generate::ScoredToken& token, int count);

}  // namespace tenon::server
