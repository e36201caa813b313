#include <algorithm>

#include "graph/ops.h"
#include "graph/ops/registry.h"

namespace tenon::graph {
namespace {

std::vector<Type> infer(const Signature& signature) {
  expect_inputs(signature, 2, 2);
  expect_float(signature, 0, "x", 2);
  expect_indices(signature, 1, "indices");
  if (signature.type(0).dims.size() != 2) reject(signature, describe(signature, 0, "x") + ", not a matrix");
  return {{DType::kF32, {signature.type(1).dims[0], signature.type(0).dims[1]}}};
}

void reference(Call& call) {
  for (std::size_t i = 0; i < call.in(1).i32.size(); ++i) {
    const std::int32_t row = call.in(1).i32[i];
    TENON_CHECK(row >= 0 && row < call.in(0).rows(), "row " + std::to_string(row));
    std::copy_n(call.in(0).row(row), call.in(0).last(), call.out().row(static_cast<std::int64_t>(i)));
  }
}

}  // namespace

constinit const Op kGatherRows{.name = "gather_rows", .infer = infer, .reference = reference};

Value gather_rows(Value x, Value indices) { return record(kGatherRows, {x, indices}); }

}  // namespace tenon::graph
