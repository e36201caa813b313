// What an expert made, times the weight of the choice: Llama 4 weighs what goes into its experts, and gate and up are
// linear, so that the weight can follow them.
#include "graph/ops.h"
#include "graph/ops/registry.h"

namespace tenon::graph {
namespace {

std::vector<Type> infer(const Signature& signature) {
  expect_inputs(signature, 2, 2);
  expect_float(signature, 0, "y", 3);
  expect_float(signature, 1, "weights", 2);
  const auto& y = signature.type(0).dims;
  if (y.size() != 3 || signature.type(1).dims != std::vector<Dim>{y[0], y[1]}) {
    reject(signature, describe(signature, 0, "y") + ", " + describe(signature, 1, "weights") +
                          ": they must be [tokens, top_k, n] and [tokens, top_k]");
  }
  return {signature.type(0)};
}

void reference(Call& call) {
  for (std::int64_t pair = 0; pair < call.out().rows(); ++pair) {
    const float weight = call.in(1).f32[static_cast<std::size_t>(pair)];
    for (std::int64_t n = 0; n < call.out().last(); ++n) call.out().row(pair)[n] = weight * call.in(0).row(pair)[n];
  }
}

}  // namespace

constinit const Op kScaleExperts{.name = "scale_experts", .infer = infer, .reference = reference};

Value scale_experts(Value y, Value weights) { return record(kScaleExperts, {y, weights}); }

}  // namespace tenon::graph
