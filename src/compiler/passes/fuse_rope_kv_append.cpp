// kv_append(rope(k), v) → rope_kv_append.
#include "compiler/passes/pass.h"
#include "graph/ops/registry.h"

namespace tenon::compiler {

std::unique_ptr<Graph> fuse_rope_kv_append(const Graph& graph, const PassContext&) {
  graph::Copier copier(graph);
  const std::vector<int> uses = graph::count_uses(graph);
  for (const Node& node : graph.nodes()) {
    const Node* rope = node.op == &graph::kKvAppend ? sole_maker(graph, uses, node.inputs[0], graph::kRope) : nullptr;
    if (rope == nullptr) {
      copier.copy(node);
      continue;
    }
    std::vector<graph::Value> inputs = {copier.value(rope->inputs[0])};
    for (std::size_t i = 1; i < node.inputs.size(); ++i) inputs.push_back(copier.value(node.inputs[i]));
    inputs.push_back(copier.value(rope->inputs[1]));
    graph::Attributes attributes = node.attributes;
    attributes.insert(*rope->attributes.find("interleaved"));
    copier.replace(node.outputs[0], copier.record(graph::kRopeKvAppend, inputs, attributes, node));
  }
  return copier.finish();
}

}  // namespace tenon::compiler
