// What an op is. One op, one file: its shape rule, an obvious scalar reference and, if it is fused, its decomposition
// into plain ops (a fused op's reference is its decomposition).
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "graph/graph.h"
#include "graph/reference.h"

namespace tenon::graph {

/// What a shape rule sees of the node that is being recorded.
struct Signature {
  const char* op;
  std::string scope;
  std::vector<const ValueInfo*> inputs;
  const Attributes& attributes;

  const Type& type(std::size_t i) const { return inputs[i]->type; }
};

struct Op {
  const char* name;
  /// The types of the outputs; GraphError where the inputs contradict one another.
  std::vector<Type> (*infer)(const Signature& signature);
  /// Computes the outputs of one node, whose dims are already set. Null: fused.
  void (*reference)(Call& call) = nullptr;
  /// Records the same computation in plain ops. Null: plain.
  std::vector<Value> (*decompose)(Graph& graph, const std::vector<Value>& inputs,
                                  const Attributes& attributes) = nullptr;
};

/// An attribute that the op is always recorded with.
template <class T>
const T& attribute(const Attributes& attributes, std::string_view name) {
  const auto it = attributes.find(name);
  TENON_CHECK(it != attributes.end() && std::holds_alternative<T>(it->second), "no attribute " + std::string(name));
  return std::get<T>(it->second);
}
inline std::int64_t integer(const Attributes& attributes, std::string_view name) {
  return attribute<std::int64_t>(attributes, name);
}
inline double number(const Attributes& attributes, std::string_view name) {
  return attribute<double>(attributes, name);
}

/// Records `op` in the graph of its first input; GraphError if that is empty.
Value record(const Op& op, const std::vector<Value>& inputs, Attributes attributes = {});

// -- for shape rules
/// Throws GraphError: "linear in model.layers.0.mlp: " + detail.
[[noreturn]] void reject(const Signature& signature, const std::string& detail);
/// "x is f32[total_tokens, 64]", or for a weight "weight model.norm.weight is [64]".
std::string describe(const Signature& signature, std::size_t i, const char* role);
/// Rejects another number of inputs than `min` .. `max`.
void expect_inputs(const Signature& signature, std::size_t min, std::size_t max);
/// Rejects anything but a float32 value of at least `min_rank` dims (weights count as float32).
void expect_float(const Signature& signature, std::size_t i, const char* role, int min_rank = 1);
/// Rejects anything but an int32 vector.
void expect_indices(const Signature& signature, std::size_t i, const char* role, int rank = 1);
/// The last dim, which must be a number.
std::int64_t last_dim(const Signature& signature, std::size_t i, const char* role);
/// `type` with another last dim.
Type with_last_dim(Type type, std::int64_t size);

}  // namespace tenon::graph
