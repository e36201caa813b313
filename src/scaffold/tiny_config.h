// The config of a model, made small.
#pragma once

#include <optional>
#include <string_view>

#include "base/json.h"

namespace tenon::scaffold {

/// The fields of text_config at the top, as ConfigReader sees them.
Json with_text_config_at_top(const Json& config);

/// What a size is in a tiny model: 64 for "hidden_size"; none if the field is no size.
std::optional<int> tiny_size(std::string_view field);

/// The same variant of the architecture with two layers (one more for each further kind in layer_types), four heads of
/// 16 and a vocabulary of 96. Fields without effect on the maths are left out, but for the class and token ids, and so
/// are the parts of a model that see or hear.
Json tiny_config(const Json& config);

}  // namespace tenon::scaffold
