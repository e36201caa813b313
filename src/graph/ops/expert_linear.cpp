// A linear layer of each chosen expert. Every row is multiplied by its own expert's matrix and by nothing else, so
// which other tokens chose that expert cannot show in it.
#include "graph/ops.h"
#include "graph/ops/registry.h"

namespace tenon::graph {
namespace {

std::vector<Type> infer(const Signature& signature) {
  expect_inputs(signature, 3, 4);
  expect_float(signature, 0, "x", 2);
  expect_indices(signature, 1, "ids", 2);
  expect_float(signature, 2, "weight", 3);
  const auto& x = signature.type(0).dims;
  const auto& ids = signature.type(1).dims;
  const auto& weight = signature.type(2).dims;
  const bool shared = x.size() == 2, own = x.size() == 3 && x[1] == ids[1];
  if (weight.size() != 3 || x.back() != weight[2] || x[0] != ids[0] || (!shared && !own)) {
    reject(signature,
           describe(signature, 0, "x") + ", " + describe(signature, 1, "ids") + ", " +
               describe(signature, 2, "weight") +
               ": x must be [tokens, in] or [tokens, top_k, in], ids [tokens, top_k], weight [experts, out, in]");
  }
  if (signature.inputs.size() == 4 && signature.type(3).dims != std::vector<Dim>{weight[0], weight[1]}) {
    reject(signature, describe(signature, 2, "weight") + ", " + describe(signature, 3, "bias"));
  }
  return {{DType::kF32, {x[0], ids[1], weight[1]}}};
}

void reference(Call& call) {
  const Tensor &x = call.in(0), &ids = call.in(1), &weight = call.in(2);
  const std::int64_t top_k = ids.last(), outputs = weight.dims[1];
  for (std::int64_t pair = 0; pair < static_cast<std::int64_t>(ids.i32.size()); ++pair) {
    const std::int64_t expert = ids.i32[static_cast<std::size_t>(pair)];
    TENON_CHECK(expert >= 0 && expert < weight.dims[0], "expert " + std::to_string(expert));
    const float* row = x.row(x.dims.size() == 3 ? pair : pair / top_k);
    for (std::int64_t n = 0; n < outputs; ++n) {
      const float* w = weight.row(expert * outputs + n);
      double sum = 0;
      for (std::int64_t k = 0; k < x.last(); ++k) sum += static_cast<double>(row[k]) * w[k];
      if (call.inputs.size() == 4) sum = static_cast<float>(sum) + call.in(3).row(expert)[n];
      call.out().row(pair)[n] = static_cast<float>(sum);
    }
  }
}

}  // namespace

constinit const Op kExpertLinear{.name = "expert_linear", .infer = infer, .reference = reference};

Value expert_linear(Value x, Value ids, Value weight, Value bias) {
  std::vector<Value> inputs = {x, ids, weight};
  if (bias) inputs.push_back(bias);
  return record(kExpertLinear, inputs);
}

}  // namespace tenon::graph
