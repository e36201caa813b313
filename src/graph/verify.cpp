#include "graph/verify.h"

#include "graph/ops/op.h"

namespace tenon::graph {
namespace {

std::unexpected<Error> broken(const Node& node, const std::string& what) {
  return fail(ErrorCode::kInternal,
              std::string("graph: ") + node.op->name + (node.scope.empty() ? "" : " in " + node.scope) + ": " + what);
}

Status verify_node(const Graph& graph, const Node& node, std::vector<bool>& made) {
  Signature signature{node.op->name, node.scope, {}, node.attributes};
  const auto in_range = [&](int value) { return value >= 0 && value < static_cast<int>(graph.values().size()); };
  for (int value : node.inputs) {
    if (!in_range(value) || !made[static_cast<std::size_t>(value)])
      return broken(node, "an input is not made before it");
    signature.inputs.push_back(&graph.info(value));
  }
  std::vector<Type> types;
  try {
    types = node.op->infer(signature);
  } catch (const GraphError& error) {
    return broken(node, error.what());
  }
  if (types.size() != node.outputs.size()) return broken(node, "a wrong number of outputs");
  for (std::size_t i = 0; i < types.size(); ++i) {
    const int value = node.outputs[i];
    if (!in_range(value) || made[static_cast<std::size_t>(value)]) return broken(node, "an output is made twice");
    if (graph.info(value).type != types[i]) {
      return broken(node, "an output is " + to_string(graph.info(value).type) + ", not " + to_string(types[i]));
    }
    made[static_cast<std::size_t>(value)] = true;
  }
  return {};
}

}  // namespace

Status verify(const Graph& graph) {
  std::vector<bool> made(graph.values().size());
  for (std::size_t i = 0; i < made.size(); ++i) made[i] = graph.values()[i].source != Source::kNode;
  for (const Node& node : graph.nodes()) TENON_TRY(verify_node(graph, node, made));
  if (graph.outputs().empty()) return fail(ErrorCode::kInternal, "graph: it has no output");
  for (const auto* named : {&graph.outputs(), &graph.taps()}) {
    for (const auto& [name, value] : *named) {
      if (value < 0 || value >= static_cast<int>(made.size()) || !made[static_cast<std::size_t>(value)]) {
        return fail(ErrorCode::kInternal, "graph: " + name + " is made by no node");
      }
    }
  }
  return {};
}

}  // namespace tenon::graph
