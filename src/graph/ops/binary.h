// What the elementwise ops of two inputs share: shapes are equal, or b is a vector of the last dim.
#pragma once

#include "graph/ops/op.h"

namespace tenon::graph {

inline std::vector<Type> infer_binary(const Signature& signature) {
  expect_inputs(signature, 2, 2);
  expect_float(signature, 0, "a");
  expect_float(signature, 1, "b");
  const auto& a = signature.type(0).dims;
  const auto& b = signature.type(1).dims;
  if (a != b && !(b.size() == 1 && b[0] == a.back())) {
    reject(signature, describe(signature, 0, "a") + ", " + describe(signature, 1, "b") +
                          ": not equal, and b is not a vector of a's last dim");
  }
  return {signature.type(0)};
}

template <class F>
void reference_binary(Call& call, F f) {
  const auto& a = call.in(0).f32;
  const auto& b = call.in(1).f32;
  for (std::size_t i = 0; i < a.size(); ++i) call.out().f32[i] = f(a[i], b[i % b.size()]);
}

}  // namespace tenon::graph
