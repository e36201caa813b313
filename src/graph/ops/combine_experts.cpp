// The weighted sum of what a token's experts made, in the order in which the router named them.
#include "graph/ops.h"
#include "graph/ops/registry.h"

namespace tenon::graph {
namespace {

std::vector<Type> infer(const Signature& signature) {
  expect_inputs(signature, 1, 2);
  expect_float(signature, 0, "y", 3);
  const auto& y = signature.type(0).dims;
  if (y.size() != 3) reject(signature, describe(signature, 0, "y") + ", not [tokens, top_k, hidden]");
  if (signature.inputs.size() == 1) return {{DType::kF32, {y[0], y[2]}}};
  expect_float(signature, 1, "weights", 2);
  if (signature.type(1).dims != std::vector<Dim>{y[0], y[1]}) {
    reject(signature, describe(signature, 0, "y") + ", " + describe(signature, 1, "weights") +
                          ": they must be [tokens, top_k, hidden] and [tokens, top_k]");
  }
  return {{DType::kF32, {y[0], y[2]}}};
}

void reference(Call& call) {
  const Tensor& y = call.in(0);
  const Tensor* weights = call.inputs.size() == 2 ? &call.in(1) : nullptr;
  const std::int64_t top_k = y.dims[1];
  for (std::int64_t t = 0; t < call.out().rows(); ++t) {
    for (std::int64_t n = 0; n < call.out().last(); ++n) {
      double sum = 0;
      for (std::int64_t j = 0; j < top_k; ++j) {
        sum += (weights == nullptr ? 1.0 : static_cast<double>(weights->row(t)[j])) * y.row(t * top_k + j)[n];
      }
      call.out().row(t)[n] = static_cast<float>(sum);
    }
  }
}

}  // namespace

constinit const Op kCombineExperts{.name = "combine_experts", .infer = infer, .reference = reference};

Value combine_experts(Value y, Value weights) {
  std::vector<Value> inputs = {y};
  if (weights) inputs.push_back(weights);
  return record(kCombineExperts, inputs);
}

}  // namespace tenon::graph
