// act(expert_linear(x, gate)) * expert_linear(x, up) → one matmul an expert whose epilogue multiplies, as fuse_gate_up
// does for a dense MLP.
#include "compiler/passes/pass.h"
#include "graph/ops/registry.h"
#include "kernels/kernels.h"

namespace tenon::compiler {
namespace {

struct Match {
  std::vector<int> inputs;  // x, ids, gate, up
  graph::LinearEpilogue epilogue;
};

std::optional<Match> match(const Graph& graph, const std::vector<int>& uses, const PassContext& context, int activation,
                           int other) {
  const Node* silu = sole_maker(graph, uses, activation, graph::kSilu);
  const Node* gelu = sole_maker(graph, uses, activation, graph::kGeluTanh);
  const Node* act = silu != nullptr ? silu : gelu;
  if (act == nullptr) return std::nullopt;
  const Node* gate = sole_maker(graph, uses, act->inputs[0], graph::kExpertLinear);
  const Node* up = sole_maker(graph, uses, other, graph::kExpertLinear);
  if (gate == nullptr || up == nullptr || gate->inputs.size() != 3 || up->inputs.size() != 3) return std::nullopt;
  if (gate->inputs[0] != up->inputs[0] || gate->inputs[1] != up->inputs[1]) return std::nullopt;
  const auto& shape = graph.info(gate->inputs[2]).type;
  if (shape != graph.info(up->inputs[2]).type || shape.dims[1].size() % kernels::kPanel != 0) return std::nullopt;
  if (!common_dtype(graph, {gate->inputs[2], up->inputs[2]}, context)) return std::nullopt;
  return Match{{gate->inputs[0], gate->inputs[1], gate->inputs[2], up->inputs[2]},
               silu != nullptr ? graph::LinearEpilogue::kSiluMul : graph::LinearEpilogue::kGeluTanhMul};
}

}  // namespace

std::unique_ptr<Graph> fuse_expert_gate_up(const Graph& graph, const PassContext& context) {
  graph::Copier copier(graph);
  const std::vector<int> uses = graph::count_uses(graph);
  for (const Node& node : graph.nodes()) {
    std::optional<Match> found;
    if (node.op == &graph::kMul) {
      found = match(graph, uses, context, node.inputs[0], node.inputs[1]);
      if (!found) found = match(graph, uses, context, node.inputs[1], node.inputs[0]);
    }
    if (!found) {
      copier.copy(node);
      continue;
    }
    copier.replace(node.outputs[0],
                   copier.record(graph::kFusedExpertLinear, copier.values(found->inputs),
                                 {{"epilogue", std::string(graph::to_string(found->epilogue))}}, node));
  }
  return copier.finish();
}

}  // namespace tenon::compiler
