// What the elementwise ops of one input share.
#pragma once

#include "graph/ops/op.h"

namespace tenon::graph {

inline std::vector<Type> infer_unary(const Signature& signature) {
  expect_inputs(signature, 1, 1);
  expect_float(signature, 0, "x");
  return {signature.type(0)};
}

/// Applies f, in double, to each element.
template <class F>
void reference_unary(Call& call, F f) {
  const auto& x = call.in(0).f32;
  for (std::size_t i = 0; i < x.size(); ++i) call.out().f32[i] = static_cast<float>(f(static_cast<double>(x[i])));
}

}  // namespace tenon::graph
