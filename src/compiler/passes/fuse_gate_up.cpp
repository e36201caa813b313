// act(linear(x, gate)) * linear(x, up) → one matmul whose epilogue multiplies: the gated MLP (Shazeer 2020). Panels of
// gate and up alternate, so both must be stored alike and have a whole number of panels.
#include "compiler/passes/pass.h"
#include "graph/ops/registry.h"
#include "kernels/kernels.h"

namespace tenon::compiler {
namespace {

using graph::LinearEpilogue;
using graph::LinearParts;

// Of mul(activation, other).
std::optional<LinearParts<int>> match(const Graph& graph, const std::vector<int>& uses, const PassContext& context,
                                      int activation, int other) {
  const Node* silu = sole_maker(graph, uses, activation, graph::kSilu);
  const Node* gelu = sole_maker(graph, uses, activation, graph::kGeluTanh);
  const Node* act = silu != nullptr ? silu : gelu;
  if (act == nullptr) return std::nullopt;
  const Node* gate = sole_maker(graph, uses, act->inputs[0], graph::kLinear);
  const Node* up = sole_maker(graph, uses, other, graph::kLinear);
  if (gate == nullptr || up == nullptr || gate->inputs[0] != up->inputs[0]) return std::nullopt;
  if (!as_linear(graph, *gate) || !as_linear(graph, *up)) return std::nullopt;
  const std::vector<int> weights = {gate->inputs[1], up->inputs[1]};
  const auto& shape = graph.info(weights[0]).type;
  if (shape != graph.info(weights[1]).type || shape.dims[0].size() % kernels::kPanel != 0) return std::nullopt;
  if (!common_dtype(graph, weights, context)) return std::nullopt;
  return LinearParts<int>{.x = gate->inputs[0],
                          .weights = weights,
                          .epilogue = silu != nullptr ? LinearEpilogue::kSiluMul : LinearEpilogue::kGeluTanhMul};
}

}  // namespace

std::unique_ptr<Graph> fuse_gate_up(const Graph& graph, const PassContext& context) {
  graph::Copier copier(graph);
  const std::vector<int> uses = graph::count_uses(graph);
  for (const Node& node : graph.nodes()) {
    std::optional<LinearParts<int>> gated;
    if (node.op == &graph::kMul) {
      gated = match(graph, uses, context, node.inputs[0], node.inputs[1]);
      if (!gated) gated = match(graph, uses, context, node.inputs[1], node.inputs[0]);
    }
    if (!gated) {
      copier.copy(node);
      continue;
    }
    copier.graph().push_scope(node.scope);
    copier.replace(node.outputs[0], graph::fused_linear(mapped(copier, *gated)));
    copier.graph().pop_scope();
  }
  return copier.finish();
}

}  // namespace tenon::compiler
