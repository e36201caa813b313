// linear(x, w) + b → fused_linear with a bias; b is a vector of the checkpoint or a constant.
#include "compiler/passes/pass.h"
#include "graph/ops/registry.h"

namespace tenon::compiler {

std::unique_ptr<Graph> fuse_bias(const Graph& graph, const PassContext&) {
  graph::Copier copier(graph);
  const std::vector<int> uses = graph::count_uses(graph);
  for (const Node& node : graph.nodes()) {
    const Node* linear = node.op == &graph::kAdd ? sole_maker(graph, uses, node.inputs[0], graph::kLinear) : nullptr;
    const auto parts = linear != nullptr ? as_linear(graph, *linear) : std::nullopt;
    const graph::ValueInfo& bias = graph.info(node.inputs.back());
    if (!parts || bias.type.dims.size() != 1 || bias.source == graph::Source::kNode) {
      copier.copy(node);
      continue;
    }
    auto fused = mapped(copier, *parts);
    fused.biases = {copier.value(node.inputs[1])};
    copier.graph().push_scope(linear->scope);
    copier.replace(node.outputs[0], graph::fused_linear(fused));
    copier.graph().pop_scope();
  }
  return copier.finish();
}

}  // namespace tenon::compiler
