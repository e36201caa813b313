#include <algorithm>

#include "graph/ops.h"
#include "graph/ops/registry.h"

namespace tenon::graph {
namespace {

std::vector<Type> infer(const Signature& signature) {
  expect_inputs(signature, 2, 2);
  expect_indices(signature, 0, "ids");
  expect_float(signature, 1, "weight", 2);
  return {{DType::kF32, {signature.type(0).dims[0], signature.type(1).dims.back()}}};
}

void reference(Call& call) {
  const Tensor& weight = call.in(1);
  for (std::size_t i = 0; i < call.in(0).i32.size(); ++i) {
    const std::int32_t id = call.in(0).i32[i];
    TENON_CHECK(id >= 0 && id < weight.rows(), "token id " + std::to_string(id));
    std::copy_n(weight.row(id), weight.last(), call.out().row(static_cast<std::int64_t>(i)));
  }
}

}  // namespace

constinit const Op kEmbedding{.name = "embedding", .infer = infer, .reference = reference};

Value embedding(Value ids, Value weight) { return record(kEmbedding, {ids, weight}); }

}  // namespace tenon::graph
