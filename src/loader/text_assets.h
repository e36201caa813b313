// What the text side needs of a model's files, gathered as data.
#pragma once

#include "loader/loader.h"
#include "model/model_config.h"
#include "weights/checkpoint.h"

namespace tenon::loader {

/// tokenizer.json, tokenizer_config.json, special_tokens_map.json, chat_template.jinja or .json and
/// generation_config.json of a directory. Files that are missing leave their part empty; broken ones are errors.
Result<TextAssets> text_from_directory(const std::string& directory, const model::ModelConfig& config);

/// The same from GGUF metadata.
Result<TextAssets> text_from_gguf(const Json& metadata, const model::ModelConfig& config);

}  // namespace tenon::loader
