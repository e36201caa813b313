// A tiny embedding model with a tokenizer, in a directory of its own.
#pragma once

#include <filesystem>

#include "base/json.h"

namespace tenon::e2e {

/// Copies the checkpoint of tests/golden/`golden` into `to`, and writes a tokenizer of the words w4 … w95 between [CLS]
/// (1) and [SEP] (2). With `max_seq_length`, also the files of sentence-transformers: the normalised mean.
void make_embedding_model(const std::filesystem::path& golden, const std::filesystem::path& to, int max_seq_length = 0);

}  // namespace tenon::e2e
