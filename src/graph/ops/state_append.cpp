// A value of each token that later tokens read (short_conv), in the paged cache: so it is shared, preempted and chunked
// as keys and values are. The result stands for the layer's state, u8[kv_cache, 1, 0, channels], as that of kv_append.
#include "graph/ops.h"
#include "graph/ops/registry.h"
#include "tensor/kv_layout.h"

namespace tenon::graph {
namespace {

std::vector<Type> infer(const Signature& signature) {
  expect_inputs(signature, 4, 4);
  expect_float(signature, 0, "x", 2);
  expect_indices(signature, 1, "positions");
  expect_indices(signature, 2, "row_offsets");
  expect_indices(signature, 3, "page_table", 2);
  const auto& x = signature.type(0).dims;
  const std::int64_t channels = last_dim(signature, 0, "x");
  if (x.size() != 2 || x[0] != signature.type(1).dims[0] || channels % 2 != 0) {
    reject(signature, describe(signature, 0, "x") + ", " + describe(signature, 1, "positions") +
                          ": x must be [tokens, an even number]");
  }
  if (integer(signature.attributes, "layer") < 0) reject(signature, "the layer is negative");
  return {{DType::kU8, {Dim("kv_cache"), Dim(1), Dim(std::int64_t{0}), Dim(channels)}}};
}

void reference(Call& call) {
  const Tensor& x = call.in(0);
  const auto& offsets = call.in(2).i32;
  const Tensor& pages = call.in(3);
  const std::int64_t layer = integer(call.attributes, "layer");
  for (std::size_t row = 0; row + 1 < offsets.size(); ++row) {
    for (std::int64_t t = offsets[row]; t < offsets[row + 1]; ++t) {
      const std::int64_t position = call.in(1).i32[static_cast<std::size_t>(t)];
      const std::int64_t column = static_cast<std::int64_t>(row) * pages.last() + position / tensor::kPageTokens;
      call.kv.entries[{layer, pages.i32[static_cast<std::size_t>(column)], position % tensor::kPageTokens}]
          .value.assign(x.row(t), x.row(t) + x.last());
    }
  }
}

}  // namespace

constinit const Op kStateAppend{.name = "state_append", .infer = infer, .reference = reference};

Value state_append(Value x, int layer, Value positions, Value row_offsets, Value page_table) {
  return record(kStateAppend, {x, positions, row_offsets, page_table}, {{"layer", std::int64_t{layer}}});
}

}  // namespace tenon::graph
