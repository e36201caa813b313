#include "graph/ops.h"
#include "graph/ops/registry.h"

namespace tenon::graph {
namespace {

std::vector<Type> infer(const Signature& signature) {
  expect_inputs(signature, 2, 2);
  expect_float(signature, 0, "x");
  expect_float(signature, 1, "weight", 2);
  const std::int64_t k = last_dim(signature, 0, "x");
  if (signature.type(1).dims.size() != 2) reject(signature, describe(signature, 1, "weight") + ", not a matrix");
  const std::int64_t weight_k = last_dim(signature, 1, "weight");
  if (k != weight_k) {
    reject(signature, describe(signature, 0, "x") + ", " + describe(signature, 1, "weight") + ": " + std::to_string(k) +
                          " != " + std::to_string(weight_k));
  }
  return {with_last_dim(signature.type(0), signature.type(1).dims[0].size())};
}

void reference(Call& call) {
  const Tensor& x = call.in(0);
  const Tensor& weight = call.in(1);
  for (std::int64_t m = 0; m < x.rows(); ++m) {
    for (std::int64_t n = 0; n < weight.rows(); ++n) {
      double sum = 0;
      for (std::int64_t k = 0; k < x.last(); ++k) sum += static_cast<double>(x.row(m)[k]) * weight.row(n)[k];
      call.out().row(m)[n] = static_cast<float>(sum);
    }
  }
}

}  // namespace

constinit const Op kLinear{.name = "linear", .infer = infer, .reference = reference};

Value linear(Value x, Value weight) { return record(kLinear, {x, weight}); }

}  // namespace tenon::graph
