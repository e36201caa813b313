// Shapes and non-owning views of stored tensors.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "tensor/dtype.h"

namespace tenon::tensor {

using Shape = std::vector<std::int64_t>;

std::int64_t elements(const Shape& shape);
std::string to_string(const Shape& shape);  ///< "[2, 3]"

/// A tensor as it lies in a checkpoint: row-major, outermost dim first. Does not own its bytes; data may be null where
/// only shapes are known (inspect without weights).
struct TensorView {
  DType dtype = DType::kF32;
  Shape shape;
  const std::byte* data = nullptr;

  std::int64_t bytes() const { return bytes_of(dtype, elements(shape)); }
};

}  // namespace tenon::tensor
