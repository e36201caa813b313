// What loader::prepare promises of a model, whatever its files say.
#pragma once

#include <string>

#include "base/check.h"
#include "base/log.h"
#include "loader/prepare.h"
#include "server/request_defaults.h"
#include "tokenizer/tokenizer.h"

namespace tenon::fuzz {

/// Whether it says that a model has many layers or experts: those take their time, and are only more of the same.
inline bool has_many_parts(const Json& json, int depth = 0) {
  constexpr double kMost = 8;
  for (const auto& [name, value] : json.items()) {
    const bool counts =
        name.find("layers") != name.npos || name.find("expert") != name.npos || name.ends_with("block_count");
    if (counts && value.is_number() && value.get<double>() > kMost) return true;
    if (value.is_object() && depth < 4 && has_many_parts(value, depth + 1)) return true;
  }
  return false;
}

inline void check_error(const Error& error) {
  TENON_CHECK(!error.message.empty() && error.code != ErrorCode::kInternal, error.message);
}

inline void check_prepared(const loader::PreparedModel& model) {
  TENON_CHECK(model.config && model.graph && model.max_length >= 1);
  TENON_CHECK(model.max_length <= model.config->max_length_limit);
  TENON_CHECK(model.text.special_tokens.is_object() && model.text.generation_config.is_object());
  for (const auto& [name, token] : model.text.special_tokens.items()) TENON_CHECK(token.is_string(), name);
  for (const std::int32_t id : model.text.eos_token_ids) TENON_CHECK(id >= 0);
  for (const auto& field : model.config->fields) TENON_CHECK(field.value != nullptr, field.name);
  if (model.embedding) {
    for (const std::int64_t n : model.embedding->matryoshka_dimensions) TENON_CHECK(n > 0);
  }
  const auto defaults = server::defaults_of(model.text.generation_config);
  if (!defaults) return check_error(defaults.error());
  TENON_CHECK(defaults->sampling.validate().has_value());
  TENON_CHECK(server::shown(*defaults).is_object());
}

}  // namespace tenon::fuzz
