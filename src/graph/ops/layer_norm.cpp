// Ba, Kiros & Hinton 2016, "Layer Normalization". The op normalises; weight and bias are a mul and an add after it,
// which the compiler's row chains do in the same sweep.
#include <cmath>

#include "graph/ops.h"
#include "graph/ops/registry.h"
#include "graph/ops/unary.h"

namespace tenon::graph {
namespace {

std::vector<Type> infer(const Signature& signature) {
  if (!(number(signature.attributes, "eps") >= 0)) reject(signature, "eps must not be negative");
  auto types = infer_unary(signature);
  last_dim(signature, 0, "x");
  return types;
}

// The variance is that of the whole population, as in PyTorch.
void reference(Call& call) {
  const Tensor& x = call.in(0);
  const double eps = number(call.attributes, "eps"), n = static_cast<double>(x.last());
  for (std::int64_t m = 0; m < x.rows(); ++m) {
    double mean = 0, variance = 0;
    for (std::int64_t k = 0; k < x.last(); ++k) mean += x.row(m)[k] / n;
    for (std::int64_t k = 0; k < x.last(); ++k) variance += (x.row(m)[k] - mean) * (x.row(m)[k] - mean) / n;
    const double factor = 1.0 / std::sqrt(variance + eps);
    for (std::int64_t k = 0; k < x.last(); ++k)
      call.out().row(m)[k] = static_cast<float>((x.row(m)[k] - mean) * factor);
  }
}

}  // namespace

constinit const Op kLayerNorm{.name = "layer_norm", .infer = infer, .reference = reference};

Value layer_norm(Value x, double eps, Value weight, Value bias) {
  Value y = record(kLayerNorm, {x}, {{"eps", eps}});
  if (weight) y = mul(y, weight);
  return bias ? add(y, bias) : y;
}

}  // namespace tenon::graph
