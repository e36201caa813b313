// act(expert_linear(x, gate)) * expert_linear(x, up): inputs x, ids, gate, up.
#include "graph/ops.h"
#include "graph/ops/fused_linear.h"
#include "graph/ops/registry.h"

namespace tenon::graph {
namespace {

std::vector<Type> infer(const Signature& signature) {
  expect_inputs(signature, 4, 4);
  if (signature.type(2) != signature.type(3)) {
    reject(signature, describe(signature, 2, "gate") + ", " + describe(signature, 3, "up") + ": not of one shape");
  }
  const auto& in = signature.inputs;
  return kExpertLinear.infer(Signature{signature.op, signature.scope, {in[0], in[1], in[2]}, signature.attributes});
}

std::vector<Value> decompose(Graph&, const std::vector<Value>& inputs, const Attributes& attributes) {
  const Value gate = expert_linear(inputs[0], inputs[1], inputs[2]),
              up = expert_linear(inputs[0], inputs[1], inputs[3]);
  const bool is_silu = linear_epilogue(attributes) == LinearEpilogue::kSiluMul;
  return {(is_silu ? silu(gate) : gelu_tanh(gate)) * up};
}

}  // namespace

constinit const Op kFusedExpertLinear{.name = "fused_expert_linear", .infer = infer, .decompose = decompose};

}  // namespace tenon::graph
