// One matmul with several weights beside one another, and what happens to its result before it is stored.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "graph/ops/op.h"

namespace tenon::graph {

/// What a fused linear does with y = x · [w0; w1; …]ᵀ + [b0; b1; …].
enum class LinearEpilogue : std::uint8_t {
  kStore,        ///< y
  kAdd,          ///< residual + y
  kSiluMul,      ///< silu(x · w0ᵀ) * (x · w1ᵀ): exactly two weights of one shape, no bias
  kGeluTanhMul,  ///< the same with gelu's tanh form
};

/// The inputs of a fused linear by role. As a node: x, weights, then a bias for each weight or none, then the residual.
template <class T>
struct LinearParts {
  T x{};
  std::vector<T> weights;
  std::vector<T> biases;
  std::optional<T> residual;
  LinearEpilogue epilogue = LinearEpilogue::kStore;
};

/// Sorts a node's inputs into roles.
template <class T>
LinearParts<T> linear_parts(const std::vector<T>& inputs, const Attributes& attributes);

Value fused_linear(const LinearParts<Value>& parts);

const char* to_string(LinearEpilogue epilogue);
LinearEpilogue linear_epilogue(const Attributes& attributes);

template <class T>
LinearParts<T> linear_parts(const std::vector<T>& inputs, const Attributes& attributes) {
  const auto weights = static_cast<std::size_t>(integer(attributes, "weights"));
  const auto biases = integer(attributes, "bias") != 0 ? weights : 0;
  LinearParts<T> parts{.epilogue = linear_epilogue(attributes)};
  const std::size_t residual = parts.epilogue == LinearEpilogue::kAdd ? 1 : 0;
  TENON_CHECK(inputs.size() == 1 + weights + biases + residual, "inputs of a fused linear");
  auto next = inputs.begin();
  parts.x = *next++;
  for (std::size_t i = 0; i < weights; ++i) parts.weights.push_back(*next++);
  for (std::size_t i = 0; i < biases; ++i) parts.biases.push_back(*next++);
  if (residual != 0) parts.residual = *next;
  return parts;
}

}  // namespace tenon::graph
