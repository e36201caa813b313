// GGUF metadata -> config.json, so that one parse_config serves both.
#pragma once

#include <span>
#include <string_view>

#include "base/json.h"
#include "base/result.h"
#include "weights/checkpoint.h"

namespace tenon::model {

/// "llama.attention.head_count" (without its "llama.") and the field that it becomes; an empty field: read by the
/// architecture itself, or without effect.
struct GgufField {
  std::string_view key;
  std::string_view field;
};

/// The field of the config that says which GGUF key each field comes from; for what is wrong with them.
inline constexpr const char* kGgufKeys = "gguf_metadata_keys";

/// The config of a GGUF file whose metadata keys are those of `fields` and the ones that all decoders share (sizes,
/// heads, rope base, norm epsilon). Also: vocab_size from the token list where it is not said, tie_word_embeddings from
/// the absence of output.weight, token ids, rope scaling (none, linear, yarn) as rope_parameters, and rope_freqs.weight
/// as its frequency_factors. Values must be as long as keys and all of a head rotated, unless `fields` has
/// attention.value_length or rope.dimension_count: then they are the architecture's own, and rope.dimension_count as
/// "partial_rotary_factor" becomes that of rope_parameters. A key of the architecture that
/// is not listed is an error that names it, and so is one that is not there although every published file has it:
/// sizes, context length, norm epsilon (that of `fields` if it has one).
Result<Json> config_from_gguf(const weights::Checkpoint& checkpoint, std::string_view architecture_class,
                              std::span<const GgufField> fields);

/// The value of "ARCH.key", ARCH being general.architecture; null if there is none.
const Json* gguf_value(const weights::Checkpoint& checkpoint, std::string_view key);

}  // namespace tenon::model
