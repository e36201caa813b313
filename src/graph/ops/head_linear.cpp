// A linear layer of each head: multi-head latent attention (DeepSeek-AI 2024, "DeepSeek-V2", section 2.1) takes queries
// into the compressed space, and values out of it, by a matrix a head.
#include "graph/ops.h"
#include "graph/ops/registry.h"

namespace tenon::graph {
namespace {

std::vector<Type> infer(const Signature& signature) {
  expect_inputs(signature, 2, 2);
  expect_float(signature, 0, "x", 3);
  expect_float(signature, 1, "weight", 3);
  const auto& x = signature.type(0).dims;
  const auto& weight = signature.type(1).dims;
  if (x.size() != 3 || weight.size() != 3 || x[1] != weight[0] || x[2] != weight[2]) {
    reject(signature, describe(signature, 0, "x") + ", " + describe(signature, 1, "weight") +
                          ": x must be [tokens, heads, in] and weight [heads, out, in]");
  }
  return {{DType::kF32, {x[0], x[1], weight[1]}}};
}

void reference(Call& call) {
  const Tensor &x = call.in(0), &weight = call.in(1);
  const std::int64_t heads = weight.dims[0], outputs = weight.dims[1];
  for (std::int64_t row = 0; row < x.rows(); ++row) {
    for (std::int64_t n = 0; n < outputs; ++n) {
      const float* w = weight.row(row % heads * outputs + n);
      double sum = 0;
      for (std::int64_t k = 0; k < x.last(); ++k) sum += static_cast<double>(x.row(row)[k]) * w[k];
      call.out().row(row)[n] = static_cast<float>(sum);
    }
  }
}

}  // namespace

constinit const Op kHeadLinear{.name = "head_linear", .infer = infer, .reference = reference};

Value head_linear(Value x, Value weight) { return record(kHeadLinear, {x, weight}); }

}  // namespace tenon::graph
