#include "model/expert_weights.h"

#include <algorithm>
#include <cstring>

#include "tensor/blocks.h"

namespace tenon::model {
namespace {

using Kind = Transform::Kind;

bool transposes(Kind kind) {
  return kind == Kind::kTranspose || kind == Kind::kTransposeHalf || kind == Kind::kTransposeAlternate;
}

// The column of the file that is column i of n.
std::int64_t column(const Transform& transform, std::int64_t i, std::int64_t n) {
  if (transform.kind == Kind::kTranspose) return i;
  return transform.kind == Kind::kTransposeHalf ? transform.part * n + i : 2 * i + transform.part;
}

// [experts, k, columns] → [experts, n, k]. The file is read in blocks of rows, so that its lines are used whole.
std::shared_ptr<std::vector<std::byte>> transpose(const tensor::TensorView& tensor, const tensor::Shape& to,
                                                  const Transform& transform) {
  constexpr std::int64_t kBlock = 64;
  const std::int64_t experts = to[0], n = to[1], k = to[2], columns = tensor.shape[2];
  const auto size = static_cast<std::size_t>(tensor::bytes_of(tensor.dtype, 1));
  auto out = std::make_shared<std::vector<std::byte>>(static_cast<std::size_t>(experts * n * k) * size);
  for (std::int64_t e = 0; e < experts; ++e) {
    for (std::int64_t first = 0; first < k; first += kBlock) {
      for (std::int64_t i = 0; i < n; ++i) {
        const std::int64_t from = column(transform, i, n);
        for (std::int64_t row = first; row < std::min(k, first + kBlock); ++row) {
          std::memcpy(out->data() + static_cast<std::size_t>((e * n + i) * k + row) * size,
                      tensor.data + static_cast<std::size_t>((e * k + row) * columns + from) * size, size);
        }
      }
    }
  }
  return out;
}

}  // namespace

tensor::Shape transformed_shape(const tensor::Shape& shape, const Transform& transform) {
  const auto halved = [](std::int64_t size) { return size % 2 == 0 ? size / 2 : -1; };
  const bool stacked = shape.size() == 3;
  switch (transform.kind) {
    case Kind::kHalf:
    case Kind::kAlternate:
      return stacked ? tensor::Shape{shape[0], halved(shape[1]), shape[2]} : tensor::Shape{};
    case Kind::kTranspose:
      return stacked ? tensor::Shape{shape[0], shape[2], shape[1]} : tensor::Shape{};
    case Kind::kTransposeHalf:
    case Kind::kTransposeAlternate:
      return stacked ? tensor::Shape{shape[0], halved(shape[2]), shape[1]} : tensor::Shape{};
    case Kind::kMxfp4:
    case Kind::kMxfp4Alternate: {
      if (shape.size() != 4 || shape[3] != 16) return {};
      const bool whole = transform.kind == Kind::kMxfp4;
      return {shape[0], whole ? shape[1] : halved(shape[1]), 32 * shape[2]};
    }
    case Kind::kAlternateColumns:
      return shape.size() == 2 ? tensor::Shape{shape[0], halved(shape[1])} : tensor::Shape{};
    case Kind::kFlatten:
      if (shape.size() != 2 || shape[1] != transform.head_dim) return {};
      return {shape[0] * shape[1]};
    case Kind::kConvTaps:
      if (shape.size() == 3 && shape[1] == 1) return {shape[2], shape[0]};
      return shape.size() == 2 ? tensor::Shape{shape[1], shape[0]} : tensor::Shape{};
    case Kind::kHeadRows:
    case Kind::kHeadRowsTransposed: {
      if (shape.size() != 2 || shape[0] % transform.head_dim != 0) return {};
      const std::int64_t heads = shape[0] / transform.head_dim;
      if (transform.kind == Kind::kHeadRows) return {heads, transform.rows, shape[1]};
      return {heads, shape[1], transform.rows};
    }
    default:
      return shape;
  }
}

tensor::DType transformed_dtype(tensor::DType dtype, const Transform& transform) {
  if (transform.kind == Kind::kHeadRowsTransposed && tensor::info(dtype).quantized) return tensor::DType::kF32;
  const bool mxfp4 = transform.kind == Kind::kMxfp4 || transform.kind == Kind::kMxfp4Alternate;
  return mxfp4 && dtype == tensor::DType::kU8 ? tensor::DType::kMXFP4 : dtype;
}

std::string companion_name(const std::string& file_name, const Transform& transform) {
  constexpr std::string_view kBlocks = "_blocks";
  if (transformed_dtype(tensor::DType::kU8, transform) != tensor::DType::kMXFP4) return "";
  return file_name.ends_with(kBlocks) ? file_name.substr(0, file_name.size() - kBlocks.size()) + "_scales" : "";
}

Result<tensor::RowView> mxfp4_rows(const tensor::TensorView& blocks, const tensor::TensorView& scales,
                                   const Transform& transform, const std::string& name) {
  const tensor::Shape to = transformed_shape(blocks.shape, transform);
  if (to.empty()) return invalid("tensor " + name + " " + tensor::to_string(blocks.shape) + " is not MXFP4 blocks");
  const std::int64_t experts = to[0], n = to[1], groups = to[2] / 32, stored_rows = blocks.shape[1];
  auto out = std::make_shared<std::vector<tensor::BlockMXFP4>>(static_cast<std::size_t>(experts * n * groups));
  auto* block = out->data();
  for (std::int64_t row = 0; row < experts * n; ++row) {
    const std::int64_t in_expert = transform.kind == Kind::kMxfp4 ? row % n : 2 * (row % n) + transform.part;
    const std::int64_t first = (row / n * stored_rows + in_expert) * groups;
    for (std::int64_t g = first; g < first + groups; ++g, ++block) {
      const auto* codes = reinterpret_cast<const std::uint8_t*>(blocks.data) + 16 * g;
      block->e = static_cast<std::uint8_t>(scales.data[g]);
      const auto code = [codes](int i) {
        return codes[i / 2] >> (i % 2 * 4) & 15;
      };  // two a byte, the low nibble first
      for (int i = 0; i < 16; ++i) block->qs[i] = static_cast<std::uint8_t>(code(i) | code(i + 16) << 4);
    }
  }
  return tensor::RowView{.dtype = tensor::DType::kMXFP4,
                         .n = experts * n,
                         .k = to[2],
                         .data = reinterpret_cast<const std::byte*>(out->data()),
                         .row_bytes = tensor::bytes_of(tensor::DType::kMXFP4, to[2]),
                         .order = {},
                         .owner = out};
}

Result<tensor::RowView> expert_rows(const tensor::TensorView& tensor, const Transform& transform,
                                    const std::string& name) {
  const tensor::Shape to = transformed_shape(tensor.shape, transform);
  if (to.empty()) return invalid("tensor " + name + " " + tensor::to_string(tensor.shape) + " is not one of experts");
  const std::int64_t experts = to[0], k = to.back();
  tensor::RowView rows{.dtype = tensor.dtype,
                       .n = to.size() == 3 ? experts * to[1] : experts,
                       .k = k,
                       .data = tensor.data,
                       .row_bytes = tensor::bytes_of(tensor.dtype, k),
                       .order = {},
                       .owner = nullptr};
  if ((transposes(transform.kind) || transform.kind == Kind::kAlternateColumns) &&
      tensor::info(tensor.dtype).block_elements != 1) {
    return unsupported("tensor " + name + " is " + tensor::name(tensor.dtype) + ", which cannot be transposed");
  }
  if (transposes(transform.kind)) {
    const auto copy = transpose(tensor, to, transform);
    rows.data = copy->data();
    rows.owner = copy;
    return rows;
  }
  if (transform.kind == Kind::kAlternateColumns) {
    std::vector<float> stored(static_cast<std::size_t>(2 * rows.n * k));
    tensor::to_float(tensor.dtype, tensor.data, 2 * rows.n * k, stored.data());
    auto values = std::make_shared<std::vector<float>>();
    for (auto i = static_cast<std::size_t>(transform.part); i < stored.size(); i += 2) values->push_back(stored[i]);
    rows.dtype = tensor::DType::kF32;
    rows.row_bytes = k * 4;
    rows.data = reinterpret_cast<const std::byte*>(values->data());
    rows.owner = values;
    return rows;
  }
  const bool alternate = transform.kind == Kind::kAlternate;
  rows.part_rows = to[1];
  for (std::int64_t e = 0; e < experts; ++e) {
    const std::int64_t first = 2 * e * to[1] + (alternate ? 1 : to[1]) * transform.part;
    rows.parts.push_back(tensor.data + first * rows.row_bytes);
  }
  rows.data = rows.parts.front();
  if (alternate) rows.row_bytes *= 2;
  return rows;
}

}  // namespace tenon::model
