// Rotary position embedding: Su et al. 2021, "RoFormer"; the pairs as in Hugging Face's rotate_half, or interleaved.
#include "graph/ops.h"
#include "graph/ops/registry.h"

namespace tenon::graph {
namespace {

std::vector<Type> infer(const Signature& signature) {
  expect_inputs(signature, 2, 2);
  expect_float(signature, 0, "x", 3);
  expect_float(signature, 1, "table", 2);
  const std::int64_t head_dim = last_dim(signature, 0, "x"), rotary_dim = last_dim(signature, 1, "table");
  if (signature.type(0).dims.size() != 3 || signature.type(1).dims.size() != 2 || rotary_dim % 2 != 0 ||
      rotary_dim > head_dim || signature.type(0).dims[0] != signature.type(1).dims[0]) {
    reject(signature, describe(signature, 0, "x") + ", " + describe(signature, 1, "table") +
                          ": x must be [tokens, heads, head_dim] and the table [tokens, an even number <= head_dim]");
  }
  return {signature.type(0)};
}

void reference(Call& call) {
  const Tensor& x = call.in(0);
  const Tensor& table = call.in(1);
  const bool interleaved = integer(call.attributes, "interleaved") != 0;
  const std::int64_t half = table.last() / 2, heads = x.dims[1];
  call.out().f32 = x.f32;
  for (std::int64_t row = 0; row < x.rows(); ++row) {
    const float* cos = table.row(row / heads);
    const float* sin = cos + half;
    for (std::int64_t i = 0; i < half; ++i) {
      const std::int64_t first = interleaved ? 2 * i : i, second = interleaved ? 2 * i + 1 : i + half;
      const double a = x.row(row)[first], b = x.row(row)[second];
      call.out().row(row)[first] = static_cast<float>(a * cos[i] - b * sin[i]);
      call.out().row(row)[second] = static_cast<float>(b * cos[i] + a * sin[i]);
    }
  }
}

}  // namespace

constinit const Op kRope{.name = "rope", .infer = infer, .reference = reference};

Value rope(Value x, Value table, bool interleaved) {
  return record(kRope, {x, table}, {{"interleaved", std::int64_t{interleaved}}});
}

}  // namespace tenon::graph
