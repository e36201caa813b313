// What is said of an embedding model beside its weights: the files of sentence-transformers, GGUF's metadata, and the
// fields of config.json that do not concern the forward pass.
#pragma once

#include <optional>
#include <string>

#include "base/json.h"
#include "base/result.h"
#include "loader/loader.h"
#include "runtime/pooling.h"

namespace tenon::loader {

/// Whether there is a DIRECTORY/modules.json.
bool has_sentence_files(const std::string& directory);

/// Reads DIRECTORY/modules.json and the config.json of its Pooling module. Without modules.json: the mean, not
/// normalised, which is what sentence-transformers makes of a bare checkpoint. Modules other than Transformer, Pooling
/// and Normalize, several poolings at once, modes other than mean, cls and last token, and a default prompt whose
/// tokens are not pooled are refused by name.
Result<runtime::Pooling> read_pooling(const std::string& directory);

/// max_seq_length of DIRECTORY/sentence_bert_config.json: special tokens included; none: the file does not say.
Result<std::optional<int>> read_max_seq_length(const std::string& directory);

/// sentence_bert_config.json's do_lower_case wants texts in lower case before they are tokenized. Refused unless the
/// tokenizer does it itself.
Status check_lower_case(const std::string& directory, const std::string& tokenizer_json);

/// What sentence-transformers puts before every text: the prompt that default_prompt_name of
/// DIRECTORY/config_sentence_transformers.json names; empty: none.
Result<std::string> read_default_prompt(const std::string& directory);

/// {architecture}.pooling_type of GGUF metadata, normalised as llama.cpp's server does; none: it has none.
std::optional<runtime::Pooling> gguf_pooling(const Json& metadata);

/// is_matryoshka and matryoshka_dimensions of a config.json, as vLLM reads them.
Status read_matryoshka(const Json& config, Embedding& embedding);

}  // namespace tenon::loader
