#include <algorithm>

#include "graph/ops.h"
#include "graph/ops/registry.h"

namespace tenon::graph {
namespace {

std::vector<Type> infer(const Signature& signature) {
  expect_inputs(signature, 2, 2);
  expect_indices(signature, 0, "ids");
  expect_float(signature, 1, "weight", 2);
  const std::int64_t row = integer(signature.attributes, "row");
  const Dim& rows = signature.type(1).dims[0];
  if (rows.symbolic() || row < 0 || row >= rows.size()) {
    reject(signature, describe(signature, 1, "weight") + ", which has no row " + std::to_string(row));
  }
  return {{DType::kF32, {signature.type(0).dims[0], signature.type(1).dims.back()}}};
}

void reference(Call& call) {
  const Tensor& weight = call.in(1);
  const float* row = weight.row(integer(call.attributes, "row"));
  for (std::size_t i = 0; i < call.in(0).i32.size(); ++i) {
    std::copy_n(row, weight.last(), call.out().row(static_cast<std::int64_t>(i)));
  }
}

}  // namespace

constinit const Op kEmbeddingRow{.name = "embedding_row", .infer = infer, .reference = reference};

Value embedding_row(Value ids, Value weight, std::int64_t row) {
  return record(kEmbeddingRow, {ids, weight}, {{"row", row}});
}

}  // namespace tenon::graph
