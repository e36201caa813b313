#include "tensor/shape.h"

#include <limits>

namespace tenon::tensor {

std::int64_t elements(const Shape& shape) {
  std::int64_t count = 1;
  bool overflow = false;
  for (const std::int64_t dim : shape) {
    if (dim == 0) return 0;
    overflow = overflow || __builtin_mul_overflow(count, dim, &count);
  }
  return overflow ? std::numeric_limits<std::int64_t>::max() : count;
}

std::string to_string(const Shape& shape) {
  std::string text = "[";
  for (std::size_t i = 0; i < shape.size(); ++i) {
    if (i > 0) text += ", ";
    text += std::to_string(shape[i]);
  }
  return text + "]";
}

}  // namespace tenon::tensor
