// scale(embedding(ids, w), s) → scaled_embedding.
#include "compiler/passes/pass.h"
#include "graph/ops/embedding.h"
#include "graph/ops/registry.h"

namespace tenon::compiler {

std::unique_ptr<Graph> fuse_scale_into_embedding(const Graph& graph, const PassContext&) {
  graph::Copier copier(graph);
  const std::vector<int> uses = graph::count_uses(graph);
  for (const Node& node : graph.nodes()) {
    const Node* embedding =
        node.op == &graph::kScale ? sole_maker(graph, uses, node.inputs[0], graph::kEmbedding) : nullptr;
    if (embedding == nullptr || graph::embedding_offset(embedding->attributes) != 0) {
      copier.copy(node);
      continue;
    }
    copier.replace(node.outputs[0], copier.record(graph::kScaledEmbedding, copier.values(embedding->inputs),
                                                  node.attributes, *embedding));
  }
  return copier.finish();
}

}  // namespace tenon::compiler
