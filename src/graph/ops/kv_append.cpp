// The result stands for the state of the layer's cache: u8[kv_cache, kv_heads, key_dim, value_dim]. It has no storage
// of its own; it orders attention after the append.
#include "graph/ops.h"
#include "graph/ops/registry.h"
#include "tensor/kv_layout.h"

namespace tenon::graph {
namespace {

std::vector<Type> infer(const Signature& signature) {
  expect_inputs(signature, 5, 5);
  expect_float(signature, 0, "k", 3);
  expect_float(signature, 1, "v", 3);
  expect_indices(signature, 2, "positions");
  expect_indices(signature, 3, "row_offsets");
  expect_indices(signature, 4, "page_table", 2);
  const auto& k = signature.type(0).dims;
  const auto& v = signature.type(1).dims;
  if (k.size() != 3 || v.size() != 3 || k[0] != v[0] || k[1] != v[1] || k[0] != signature.type(2).dims[0]) {
    reject(signature, describe(signature, 0, "k") + ", " + describe(signature, 1, "v") + ", " +
                          describe(signature, 2, "positions") + ": k and v must be [tokens, kv_heads, dim]");
  }
  const std::int64_t key_dim = last_dim(signature, 0, "k"), value_dim = last_dim(signature, 1, "v");
  if (k[1].symbolic() || key_dim % 2 != 0 || value_dim % 2 != 0) {
    reject(signature, describe(signature, 0, "k") + ", " + describe(signature, 1, "v") + ": head dims must be even");
  }
  if (integer(signature.attributes, "layer") < 0) reject(signature, "the layer is negative");
  return {{DType::kU8, {Dim("kv_cache"), k[1], Dim(key_dim), Dim(value_dim)}}};
}

void reference(Call& call) {
  const Tensor& k = call.in(0);
  const Tensor& v = call.in(1);
  const auto& positions = call.in(2).i32;
  const auto& offsets = call.in(3).i32;
  const Tensor& pages = call.in(4);
  const std::int64_t layer = integer(call.attributes, "layer");
  const std::int64_t key_size = k.dims[1] * k.dims[2], value_size = v.dims[1] * v.dims[2];
  for (std::size_t row = 0; row + 1 < offsets.size(); ++row) {
    for (std::int64_t t = offsets[row]; t < offsets[row + 1]; ++t) {
      const std::int64_t position = positions[static_cast<std::size_t>(t)];
      const std::int64_t column = static_cast<std::int64_t>(row) * pages.last() + position / tensor::kPageTokens;
      auto& entry =
          call.kv.entries[{layer, pages.i32[static_cast<std::size_t>(column)], position % tensor::kPageTokens}];
      entry.key.assign(k.f32.begin() + t * key_size, k.f32.begin() + (t + 1) * key_size);
      entry.value.assign(v.f32.begin() + t * value_size, v.f32.begin() + (t + 1) * value_size);
    }
  }
}

}  // namespace

constinit const Op kKvAppend{.name = "kv_append", .infer = infer, .reference = reference};

Value kv_append(Value k, Value v, int layer, Value positions, Value row_offsets, Value page_table) {
  return record(kKvAppend, {k, v, positions, row_offsets, page_table}, {{"layer", std::int64_t{layer}}});
}

}  // namespace tenon::graph
