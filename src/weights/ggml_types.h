// The numbers by which GGUF names tensor types (ggml.h: enum ggml_type).
#pragma once

#include <cstdint>
#include <optional>

#include "tensor/dtype.h"

namespace tenon::weights {

struct GgmlType {
  const char* name = nullptr;          ///< null: no such type is known
  std::optional<tensor::DType> dtype;  ///< nothing: known by name, but not read by Tenon
};

GgmlType ggml_type(std::uint32_t number);

}  // namespace tenon::weights
