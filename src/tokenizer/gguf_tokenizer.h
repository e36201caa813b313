// GGUF metadata -> the text of a tokenizer.json.
#pragma once

#include <string>

#include "base/json.h"
#include "base/result.h"

namespace tenon::tokenizer {

/// From the keys "tokenizer.ggml.*". Errors: kInvalidArgument where they contradict each other, kUnsupported for a
/// model or a pre-tokenizer that is not known.
Result<std::string> gguf_tokenizer_json(const Json& metadata);

}  // namespace tenon::tokenizer
