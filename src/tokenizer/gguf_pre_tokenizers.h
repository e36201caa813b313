// How a byte-level BPE cuts a text into words, by the name that GGUF has for it.
#pragma once

#include <string_view>

#include "base/json.h"
#include "base/result.h"

namespace tenon::tokenizer {

struct GgufPreTokenizer {
  Json normalizer;     ///< as in tokenizer.json, or null
  Json pre_tokenizer;  ///< as in tokenizer.json
  bool ignore_merges;  ///< a word that is a token is taken whole
  bool add_bos;        ///< where the file does not say
};

/// By the value of "tokenizer.ggml.pre"; kUnsupported, with the known names, for any other.
Result<GgufPreTokenizer> gguf_pre_tokenizer(std::string_view name);

}  // namespace tenon::tokenizer
