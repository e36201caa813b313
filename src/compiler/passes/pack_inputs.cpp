// Gives every matmul a packed left operand, one for all that read the same value against the same class of weights.
// What it leaves is what lowering takes: fused_linear over pack.
#include <map>

#include "compiler/passes/pass.h"
#include "graph/ops/registry.h"

namespace tenon::compiler {

std::unique_ptr<Graph> pack_inputs(const Graph& graph, const PassContext& context) {
  graph::Copier copier(graph);
  std::map<std::pair<int, tensor::DType>, graph::Value> packed;
  for (const Node& node : graph.nodes()) {
    const auto parts = as_linear(graph, node);
    const auto dtype = parts ? common_dtype(graph, parts->weights, context) : std::nullopt;
    if (!dtype) {
      copier.copy(node);
      continue;
    }
    graph::Value& x = packed[{parts->x, *dtype}];
    if (!x) {
      x = copier.record(graph::kPack, {copier.value(parts->x)}, {{"weight_dtype", std::string(tensor::name(*dtype))}},
                        node);
    }
    auto fused = mapped(copier, *parts);
    fused.x = x;
    copier.graph().push_scope(node.scope);
    copier.replace(node.outputs[0], graph::fused_linear(fused));
    copier.graph().pop_scope();
  }
  return copier.finish();
}

}  // namespace tenon::compiler
