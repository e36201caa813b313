#include <cmath>

#include "graph/ops.h"
#include "graph/ops/registry.h"

namespace tenon::graph {
namespace {

const std::vector<double>& frequencies(const Attributes& attributes) {
  return attribute<std::vector<double>>(attributes, "inv_freq");
}

std::vector<Type> infer(const Signature& signature) {
  expect_inputs(signature, 1, 1);
  expect_indices(signature, 0, "positions");
  const auto half = static_cast<std::int64_t>(frequencies(signature.attributes).size());
  if (half == 0) reject(signature, "there are no frequencies");
  return {{DType::kF32, {signature.type(0).dims[0], Dim(2 * half)}}};
}

// The angle is taken in double, then cos and sin are rounded once.
void reference(Call& call) {
  const auto& inv_freq = frequencies(call.attributes);
  const auto half = inv_freq.size();
  const double factor = number(call.attributes, "attention_factor");
  for (std::size_t t = 0; t < call.in(0).i32.size(); ++t) {
    float* out = call.out().row(static_cast<std::int64_t>(t));
    for (std::size_t i = 0; i < half; ++i) {
      const double angle = call.in(0).i32[t] * inv_freq[i];
      out[i] = static_cast<float>(std::cos(angle) * factor);
      out[half + i] = static_cast<float>(std::sin(angle) * factor);
    }
  }
}

}  // namespace

constinit const Op kRopeTable{.name = "rope_table", .infer = infer, .reference = reference};

Value rope_table(Value positions, std::vector<double> inv_freq, double attention_factor) {
  return record(kRopeTable, {positions}, {{"inv_freq", std::move(inv_freq)}, {"attention_factor", attention_factor}});
}

}  // namespace tenon::graph
