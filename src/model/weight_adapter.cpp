#include "model/weight_adapter.h"

#include <cctype>

#include "model/expert_weights.h"
#include "model/fp8_weights.h"
#include "model/head_weights.h"

namespace tenon::model {
namespace {

// One step of a pattern: literal text, then {x}, * or the end.
struct Piece {
  std::string_view literal;
  char wildcard = 0;  // 'i': a number, '*': anything, 0: none
};

Piece next_piece(std::string_view& pattern) {
  const std::size_t at = pattern.find_first_of("{*");
  Piece piece{pattern.substr(0, at), 0};
  if (at == std::string_view::npos) {
    pattern = {};
    return piece;
  }
  piece.wildcard = pattern[at] == '*' ? '*' : 'i';
  pattern.remove_prefix(pattern[at] == '*' ? at + 1 : std::min(pattern.find('}', at), pattern.size() - 1) + 1);
  return piece;
}

bool match_from(std::string_view pattern, std::string_view name, std::vector<std::string>& parts) {
  const Piece piece = next_piece(pattern);
  if (!name.starts_with(piece.literal)) return false;
  name.remove_prefix(piece.literal.size());
  if (piece.wildcard == 0) return name.empty();
  if (piece.wildcard == 'i') {
    std::size_t digits = 0;
    while (digits < name.size() && std::isdigit(static_cast<unsigned char>(name[digits]))) ++digits;
    if (digits == 0) return false;
    parts.emplace_back(name.substr(0, digits));
    return match_from(pattern, name.substr(digits), parts);
  }
  for (std::size_t length = name.size() + 1; length-- > 0;) {
    const std::size_t before = parts.size();
    parts.emplace_back(name.substr(0, length));
    if (match_from(pattern, name.substr(length), parts)) return true;
    parts.resize(before);
  }
  return false;
}

// Row i of a head with rotated halves lies where GGUF's interleaved pairs put it.
std::vector<std::int32_t> unpermuted(std::int64_t n, int head_dim) {
  std::vector<std::int32_t> order(static_cast<std::size_t>(n));
  const std::int64_t half = head_dim / 2;
  for (std::int64_t i = 0; i < n; ++i) {
    const std::int64_t in_head = i % head_dim;
    order[static_cast<std::size_t>(i)] = static_cast<std::int32_t>(i - in_head + 2 * (in_head % half) + in_head / half);
  }
  return order;
}

// Row i of part p of head h lies among those of its part.
std::vector<std::int32_t> by_head(std::int64_t n, int parts, int head_dim) {
  std::vector<std::int32_t> order(static_cast<std::size_t>(n));
  for (std::int64_t row = 0; row < n; ++row) {
    const std::int64_t block = row / head_dim, head = block / parts, part = block % parts;
    order[static_cast<std::size_t>(row)] =
        static_cast<std::int32_t>(part * (n / parts) + head * head_dim + row % head_dim);
  }
  return order;
}

Result<std::shared_ptr<std::vector<float>>> floats_of(const tensor::TensorView& tensor, const std::string& name) {
  const std::int64_t n = tensor::elements(tensor.shape);
  if (n % tensor::info(tensor.dtype).block_elements != 0) return invalid("tensor " + name + " ends within a block");
  auto values = std::make_shared<std::vector<float>>(static_cast<std::size_t>(n));
  tensor::to_float(tensor.dtype, tensor.data, n, values->data());
  return values;
}

tensor::RowView one_row(std::shared_ptr<std::vector<float>> values) {
  const auto n = static_cast<std::int64_t>(values->size());
  return {.dtype = tensor::DType::kF32,
          .n = 1,
          .k = n,
          .data = reinterpret_cast<const std::byte*>(values->data()),
          .row_bytes = n * 4,
          .order = {},
          .owner = values};
}

}  // namespace

std::optional<std::vector<std::string>> match(std::string_view pattern, std::string_view name) {
  std::vector<std::string> parts;
  if (!match_from(pattern, name, parts)) return std::nullopt;
  return parts;
}

std::string substitute(std::string_view pattern, const std::vector<std::string>& parts) {
  std::string result;
  std::size_t next = 0;
  while (!pattern.empty()) {
    const Piece piece = next_piece(pattern);
    result += piece.literal;
    if (piece.wildcard != 0 && next < parts.size()) result += parts[next++];
  }
  return result;
}

Result<tensor::RowView> transformed(const tensor::TensorView& tensor, const Transform& transform,
                                    const std::string& name, const tensor::TensorView* companion) {
  if (companion != nullptr && tensor.dtype == tensor::DType::kF8E4M3) {
    TENON_ASSIGN(const tensor::RowView blocks, fp8_rows(name, tensor, *companion));
    const tensor::TensorView held{tensor::DType::kFP8, tensor.shape, blocks.data};
    TENON_ASSIGN(tensor::RowView rows, transformed(held, transform, name));
    if (rows.owner == nullptr) rows.owner = blocks.owner;
    return rows;
  }
  if (companion != nullptr) return mxfp4_rows(tensor, *companion, transform, name);
  const std::int64_t k = tensor.shape.empty() ? 1 : tensor.shape.back();
  const std::int64_t n = k == 0 ? 0 : tensor::elements(tensor.shape) / k;
  if (k % tensor::info(tensor.dtype).block_elements != 0)
    return invalid("the rows of tensor " + name + " end within a block");
  tensor::RowView rows{.dtype = tensor.dtype,
                       .n = n,
                       .k = k,
                       .data = tensor.data,
                       .row_bytes = tensor::bytes_of(tensor.dtype, k),
                       .order = {},
                       .owner = nullptr};
  const bool vector = tensor.shape.size() <= 1;
  switch (transform.kind) {
    case Transform::Kind::kNone:
      return rows;
    case Transform::Kind::kFlatten:
      rows.n = 1, rows.k = n * k, rows.row_bytes *= n;
      return rows;
    case Transform::Kind::kAdd: {
      TENON_ASSIGN(auto values, floats_of(tensor, name));
      for (float& value : *values) value += transform.constant;
      return one_row(std::move(values));
    }
    case Transform::Kind::kUnpermuteRope:
    case Transform::Kind::kByHead: {
      const std::int64_t count = vector ? k : n;
      const int parts = transform.kind == Transform::Kind::kByHead ? transform.part : 1;
      if (count % (parts * transform.head_dim) != 0) {
        return invalid("tensor " + name + " has " + std::to_string(count) + " rows, which is no multiple of " +
                       (parts == 1 ? "" : std::to_string(parts) + " times ") + "head_dim " +
                       std::to_string(transform.head_dim));
      }
      const std::vector<std::int32_t> order = transform.kind == Transform::Kind::kByHead
                                                  ? by_head(count, parts, transform.head_dim)
                                                  : unpermuted(count, transform.head_dim);
      if (!vector) {
        rows.order = order;
        return rows;
      }
      TENON_ASSIGN(const auto stored, floats_of(tensor, name));
      auto values = std::make_shared<std::vector<float>>(stored->size());
      for (std::size_t i = 0; i < values->size(); ++i) (*values)[i] = (*stored)[static_cast<std::size_t>(order[i])];
      return one_row(std::move(values));
    }
    case Transform::Kind::kConvTaps: {
      const tensor::Shape to = transformed_shape(tensor.shape, transform);
      if (to.empty()) return invalid("tensor " + name + " is not one of a depthwise convolution");
      TENON_ASSIGN(const auto stored, floats_of(tensor, name));
      auto values = std::make_shared<std::vector<float>>(stored->size());
      const auto taps = static_cast<std::size_t>(to[0]), channels = static_cast<std::size_t>(to[1]);
      for (std::size_t i = 0; i < values->size(); ++i) {
        (*values)[i] = (*stored)[i % channels * taps + i / channels];
      }
      tensor::RowView taps_view = one_row(std::move(values));
      taps_view.n = to[0], taps_view.k = to[1], taps_view.row_bytes = to[1] * 4;
      return taps_view;
    }
    case Transform::Kind::kHeadRows:
    case Transform::Kind::kHeadRowsTransposed:
      return head_rows(tensor, transform, name);
    default:
      return expert_rows(tensor, transform, name);
  }
}

}  // namespace tenon::model
