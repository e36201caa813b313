// pack(rms_norm(x)) → rms_norm_pack, where nothing but packing uses the norm: the normalised rows never leave the
// cache.
#include "compiler/passes/pass.h"
#include "graph/ops/registry.h"

namespace tenon::compiler {

std::unique_ptr<Graph> fuse_norm_pack(const Graph& graph, const PassContext&) {
  graph::Copier copier(graph);
  const std::vector<int> uses = graph::count_uses(graph);
  std::vector<int> packs(graph.values().size());
  for (const Node& node : graph.nodes()) {
    if (node.op == &graph::kPack) ++packs[static_cast<std::size_t>(node.inputs[0])];
  }
  for (const Node& node : graph.nodes()) {
    const auto value = static_cast<std::size_t>(node.inputs[0]);
    const int maker = graph.info(node.inputs[0]).node;
    const Node* norm = maker >= 0 ? &graph.nodes()[static_cast<std::size_t>(maker)] : nullptr;
    if (node.op != &graph::kPack || norm == nullptr || norm->op != &graph::kRmsNorm || uses[value] != packs[value]) {
      copier.copy(node);
      continue;
    }
    graph::Attributes attributes = norm->attributes;
    attributes.insert(node.attributes.begin(), node.attributes.end());
    copier.replace(node.outputs[0], copier.record(graph::kRmsNormPack, copier.values(norm->inputs), attributes, *norm));
  }
  return copier.finish();
}

}  // namespace tenon::compiler
