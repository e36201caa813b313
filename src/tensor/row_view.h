// A weight as rows, wherever they lie: what a weight adapter hands to the compiler.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "tensor/dtype.h"

namespace tenon::tensor {

/// n rows of k elements. `order` (empty: identity) says which stored row is row i: a permutation costs nothing. Or the
/// rows lie in `parts`, part_rows in each, row_bytes from one to the next: an expert a part. `data` is then the first.
struct RowView {
  DType dtype = DType::kF32;
  std::int64_t n = 0;
  std::int64_t k = 0;
  const std::byte* data = nullptr;
  std::int64_t row_bytes = 0;
  std::vector<std::int32_t> order;
  std::vector<const std::byte*> parts = {};
  std::int64_t part_rows = 0;
  std::shared_ptr<const void> owner;  ///< keeps converted data alive; null for a mapped file's

  const std::byte* row(std::int64_t i) const {
    if (!parts.empty()) return parts[static_cast<std::size_t>(i / part_rows)] + i % part_rows * row_bytes;
    return data + (order.empty() ? i : order[static_cast<std::size_t>(i)]) * row_bytes;
  }
};

}  // namespace tenon::tensor
