#include "compiler/passes/pass.h"

#include <array>

#include "graph/ops/registry.h"

namespace tenon::compiler {

std::span<const Pass> passes() {
  static constexpr std::array list = {
      Pass{"dead_code", eliminate_dead_code},
      Pass{"common_subexpressions", merge_common_subexpressions},
      Pass{"scale_into_embedding", fuse_scale_into_embedding},
      Pass{"fuse_bias", fuse_bias},
      Pass{"fuse_gate_up", fuse_gate_up},
      Pass{"fuse_expert_gate_up", fuse_expert_gate_up},
      Pass{"fuse_qkv", fuse_qkv},
      Pass{"fuse_residual", fuse_residual},
      Pass{"fuse_rope_kv_append", fuse_rope_kv_append},
      Pass{"pack_inputs", pack_inputs, true},
      Pass{"fuse_norm_pack", fuse_norm_pack},
      Pass{"fuse_row_chains", fuse_row_chains},
  };
  return list;
}

const Node* sole_maker(const Graph& graph, const std::vector<int>& uses, int value, const graph::Op& op) {
  const int maker = graph.info(value).node;
  if (maker < 0 || uses[static_cast<std::size_t>(value)] != 1) return nullptr;
  const Node& node = graph.nodes()[static_cast<std::size_t>(maker)];
  return node.op == &op ? &node : nullptr;
}

std::optional<graph::LinearParts<int>> as_linear(const Graph& graph, const Node& node) {
  graph::LinearParts<int> parts;
  if (node.op == &graph::kLinear) {
    parts = {.x = node.inputs[0], .weights = {node.inputs[1]}};
  } else if (node.op == &graph::kFusedLinear) {
    parts = graph::linear_parts(node.inputs, node.attributes);
  } else {
    return std::nullopt;
  }
  for (int weight : parts.weights) {
    if (graph.info(weight).source != graph::Source::kWeight) return std::nullopt;
  }
  return parts;
}

std::optional<tensor::DType> common_dtype(const Graph& graph, const std::vector<int>& weights,
                                          const PassContext& context) {
  std::optional<tensor::DType> common;
  for (int weight : weights) {
    const auto it = context.packed_dtypes.find(graph.info(weight).name);
    if (it == context.packed_dtypes.end() || (common && *common != it->second)) return std::nullopt;
    common = it->second;
  }
  return common;
}

graph::LinearParts<graph::Value> mapped(graph::Copier& copier, const graph::LinearParts<int>& parts) {
  graph::LinearParts<graph::Value> result{.x = copier.value(parts.x),
                                          .weights = copier.values(parts.weights),
                                          .biases = copier.values(parts.biases),
                                          .epilogue = parts.epilogue};
  if (parts.residual) result.residual = copier.value(*parts.residual);
  return result;
}

}  // namespace tenon::compiler
