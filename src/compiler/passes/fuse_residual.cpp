// residual + linear(…) → the matmul adds into the residual's buffer. Only where the residual is dead afterwards: it
// would have to be copied otherwise.
#include "compiler/passes/pass.h"
#include "graph/ops/registry.h"

namespace tenon::compiler {
namespace {

// For each value the last node that uses it; the number of nodes if it is an output or a tap.
std::vector<std::size_t> last_uses(const Graph& graph) {
  std::vector<std::size_t> last(graph.values().size());
  for (std::size_t i = 0; i < graph.nodes().size(); ++i) {
    for (int value : graph.nodes()[i].inputs) last[static_cast<std::size_t>(value)] = i;
  }
  for (const auto* named : {&graph.outputs(), &graph.taps()}) {
    for (const auto& [name, value] : *named) last[static_cast<std::size_t>(value)] = graph.nodes().size();
  }
  return last;
}

}  // namespace

std::unique_ptr<Graph> fuse_residual(const Graph& graph, const PassContext&) {
  graph::Copier copier(graph);
  const std::vector<int> uses = graph::count_uses(graph);
  const std::vector<std::size_t> last = last_uses(graph);
  // Of residual + y at node i.
  const auto match = [&](std::size_t i, int residual, int y) -> std::optional<graph::LinearParts<int>> {
    const int maker = graph.info(y).node;
    if (maker < 0 || uses[static_cast<std::size_t>(y)] != 1 || residual == y) return std::nullopt;
    auto parts = as_linear(graph, graph.nodes()[static_cast<std::size_t>(maker)]);
    if (!parts || parts->epilogue != graph::LinearEpilogue::kStore) return std::nullopt;
    const graph::ValueInfo& info = graph.info(residual);
    if (info.source != graph::Source::kNode || info.type != graph.info(y).type) return std::nullopt;
    if (last[static_cast<std::size_t>(residual)] != i) return std::nullopt;
    parts->residual = residual;
    parts->epilogue = graph::LinearEpilogue::kAdd;
    return parts;
  };
  for (std::size_t i = 0; i < graph.nodes().size(); ++i) {
    const Node& node = graph.nodes()[i];
    std::optional<graph::LinearParts<int>> parts;
    int y = -1;
    if (node.op == &graph::kAdd) {
      parts = match(i, node.inputs[0], y = node.inputs[1]);
      if (!parts) parts = match(i, node.inputs[1], y = node.inputs[0]);
    }
    if (!parts) {
      copier.copy(node);
      continue;
    }
    copier.graph().push_scope(graph.nodes()[static_cast<std::size_t>(graph.info(y).node)].scope);
    copier.replace(node.outputs[0], graph::fused_linear(mapped(copier, *parts)));
    copier.graph().pop_scope();
  }
  return copier.finish();
}

}  // namespace tenon::compiler
