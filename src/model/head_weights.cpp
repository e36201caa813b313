#include "model/head_weights.h"

#include <algorithm>
#include <cstring>

namespace tenon::model {
namespace {

// Row i of the result is column i of the head's rows. `size`: bytes of an element.
void transpose(const std::byte* rows, std::int64_t n, std::int64_t k, std::int64_t size, std::byte* out) {
  constexpr std::int64_t kBlock = 64;  // so that cache lines are used whole
  for (std::int64_t first = 0; first < n; first += kBlock) {
    for (std::int64_t column = 0; column < k; ++column) {
      for (std::int64_t row = first; row < std::min(n, first + kBlock); ++row) {
        std::memcpy(out + (column * n + row) * size, rows + (row * k + column) * size, static_cast<std::size_t>(size));
      }
    }
  }
}

}  // namespace

Result<tensor::RowView> head_rows(const tensor::TensorView& tensor, const Transform& transform,
                                  const std::string& name) {
  if (transformed_shape(tensor.shape, transform).empty()) {
    return invalid("tensor " + name + " " + tensor::to_string(tensor.shape) + " is not one of " +
                   std::to_string(transform.head_dim) + " rows a head");
  }
  const std::int64_t heads = tensor.shape[0] / transform.head_dim, k = tensor.shape[1], n = transform.rows;
  const std::int64_t row_bytes = tensor::bytes_of(tensor.dtype, k);
  const auto first = [&](std::int64_t head) {
    return tensor.data + (head * transform.head_dim + transform.part) * row_bytes;
  };
  tensor::RowView rows{.dtype = tensor.dtype,
                       .n = heads * n,
                       .k = k,
                       .data = first(0),
                       .row_bytes = row_bytes,
                       .order = {},
                       .owner = nullptr};
  if (transform.kind == Transform::Kind::kHeadRows) {
    rows.part_rows = n;
    for (std::int64_t h = 0; h < heads; ++h) rows.parts.push_back(first(h));
    return rows;
  }
  rows.dtype = transformed_dtype(tensor.dtype, transform);
  rows.n = heads * k;
  rows.k = n;
  rows.row_bytes = tensor::bytes_of(rows.dtype, n);
  const std::int64_t size = tensor::bytes_of(rows.dtype, 1);
  auto out = std::make_shared<std::vector<std::byte>>(static_cast<std::size_t>(rows.n * rows.row_bytes));
  std::vector<float> floats(static_cast<std::size_t>(rows.dtype == tensor.dtype ? 0 : n * k));
  for (std::int64_t h = 0; h < heads; ++h) {
    const std::byte* from = first(h);
    if (!floats.empty()) {
      for (std::int64_t row = 0; row < n; ++row) {
        tensor::to_float(tensor.dtype, from + row * row_bytes, k, floats.data() + row * k);
      }
      from = reinterpret_cast<const std::byte*>(floats.data());
    }
    transpose(from, n, k, size, out->data() + h * k * rows.row_bytes);
  }
  rows.data = out->data();
  rows.owner = out;
  return rows;
}

}  // namespace tenon::model
