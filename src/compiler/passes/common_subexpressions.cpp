// Nodes of one op, the same inputs and the same attributes are computed once: the rope tables of all layers.
#include <map>
#include <tuple>

#include "compiler/passes/pass.h"

namespace tenon::compiler {

std::unique_ptr<Graph> merge_common_subexpressions(const Graph& graph, const PassContext&) {
  graph::Copier copier(graph);
  std::map<std::tuple<const graph::Op*, std::vector<int>, graph::Attributes>, std::vector<graph::Value>> seen;
  for (const Node& node : graph.nodes()) {
    std::vector<int> inputs;
    for (graph::Value value : copier.values(node.inputs)) inputs.push_back(value.id());
    auto& known = seen[{node.op, inputs, node.attributes}];
    if (known.empty()) {
      copier.copy(node);
      known = copier.values(node.outputs);
    } else {
      for (std::size_t i = 0; i < known.size(); ++i) copier.replace(node.outputs[i], known[i]);
    }
  }
  return copier.finish();
}

}  // namespace tenon::compiler
