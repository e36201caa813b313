// Zhang & Sennrich 2019, "Root Mean Square Layer Normalization"; weight_offset 1 is Gemma's (1 + w).
#include <cmath>

#include "graph/ops.h"
#include "graph/ops/registry.h"

namespace tenon::graph {
namespace {

std::vector<Type> infer(const Signature& signature) {
  expect_inputs(signature, 2, 2);
  expect_float(signature, 0, "x");
  expect_float(signature, 1, "weight");
  const auto& weight = signature.type(1).dims;
  if (weight.size() != 1 || weight[0] != Dim(last_dim(signature, 0, "x"))) {
    reject(signature, describe(signature, 0, "x") + ", " + describe(signature, 1, "weight") +
                          ": the weight must be a vector of x's last dim");
  }
  if (!(number(signature.attributes, "eps") >= 0)) reject(signature, "eps must not be negative");
  return {signature.type(0)};
}

void reference(Call& call) {
  const Tensor& x = call.in(0);
  const double eps = number(call.attributes, "eps"), offset = number(call.attributes, "weight_offset");
  for (std::int64_t m = 0; m < x.rows(); ++m) {
    double sum = 0;
    for (std::int64_t k = 0; k < x.last(); ++k) sum += static_cast<double>(x.row(m)[k]) * x.row(m)[k];
    const double factor = 1.0 / std::sqrt(sum / static_cast<double>(x.last()) + eps);
    for (std::int64_t k = 0; k < x.last(); ++k) {
      call.out().row(m)[k] = static_cast<float>(x.row(m)[k] * factor * (call.in(1).row(0)[k] + offset));
    }
  }
}

}  // namespace

constinit const Op kRmsNorm{.name = "rms_norm", .infer = infer, .reference = reference};

Value rms_norm(Value x, Value weight, double eps, double weight_offset) {
  return record(kRmsNorm, {x, weight}, {{"eps", eps}, {"weight_offset", weight_offset}});
}

}  // namespace tenon::graph
