// Nodes that no output and no tap needs.
#include "compiler/passes/pass.h"

namespace tenon::compiler {

std::unique_ptr<Graph> eliminate_dead_code(const Graph& graph, const PassContext&) {
  return graph::without_dead_nodes(graph);
}

}  // namespace tenon::compiler
