// Queries grow with the logarithm of their position, in steps of floor_scale: scalable softmax (Nakanishi 2025,
// arXiv:2501.19399), as Llama 4 uses it in layers that do not rotate.
#include <cmath>

#include "graph/ops.h"
#include "graph/ops/registry.h"

namespace tenon::graph {
namespace {

std::vector<Type> infer(const Signature& signature) {
  expect_inputs(signature, 2, 2);
  expect_float(signature, 0, "x", 2);
  expect_indices(signature, 1, "positions");
  if (signature.type(0).dims[0] != signature.type(1).dims[0]) {
    reject(signature, describe(signature, 0, "x") + ", " + describe(signature, 1, "positions"));
  }
  if (!(number(signature.attributes, "floor_scale") > 0)) reject(signature, "floor_scale must be positive");
  return {signature.type(0)};
}

void reference(Call& call) {
  const double floor_scale = number(call.attributes, "floor_scale"), strength = number(call.attributes, "strength");
  const std::size_t columns = call.in(0).f32.size() / call.in(1).i32.size();
  for (std::size_t i = 0; i < call.in(0).f32.size(); ++i) {
    const double position = call.in(1).i32[i / columns];
    const double factor = 1.0 + strength * std::log1p(std::floor((position + 1.0) / floor_scale));
    call.out().f32[i] = static_cast<float>(call.in(0).f32[i] * factor);
  }
}

}  // namespace

constinit const Op kPositionTemperature{.name = "position_temperature", .infer = infer, .reference = reference};

Value position_temperature(Value x, Value positions, double floor_scale, double strength) {
  return record(kPositionTemperature, {x, positions}, {{"floor_scale", floor_scale}, {"strength", strength}});
}

}  // namespace tenon::graph
