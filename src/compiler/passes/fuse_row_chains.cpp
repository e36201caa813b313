// Chains of elementwise ops and norms whose intermediate values nobody else uses → rowwise, one sweep over the rows:
// Gemma's x + rms_norm(y), softcap(scale(x)).

#include "compiler/passes/pass.h"
#include "graph/ops/registry.h"
#include "graph/ops/rowwise.h"

namespace tenon::compiler {
namespace {

struct Chain {
  std::vector<int> inputs;  // old values; the first is where it begins
  std::vector<graph::RowInstruction> program;
  bool consumed = false;  // a longer chain has taken it up
};

// Which input of a node the chain can run through: the value of a chain that has no other use.
std::optional<std::size_t> link(const Graph& graph, const std::vector<int>& uses, const std::vector<Chain>& chains,
                                const Node& node) {
  const bool commutes = (node.op == &graph::kAdd || node.op == &graph::kMul) &&
                        graph.info(node.inputs[0]).type == graph.info(node.inputs[1]).type;
  for (std::size_t i = 0; i < (commutes ? 2U : 1U); ++i) {
    const int maker = graph.info(node.inputs[i]).node;
    if (maker >= 0 && uses[static_cast<std::size_t>(node.inputs[i])] == 1 &&
        !chains[static_cast<std::size_t>(maker)].program.empty()) {
      return i;
    }
  }
  return std::nullopt;
}

}  // namespace

std::unique_ptr<Graph> fuse_row_chains(const Graph& graph, const PassContext&) {
  const std::vector<int> uses = graph::count_uses(graph);
  std::vector<Chain> chains(graph.nodes().size());
  for (std::size_t i = 0; i < chains.size(); ++i) {
    const Node& node = graph.nodes()[i];
    if (!graph::is_rowwise(node)) continue;
    const auto through = link(graph, uses, chains, node);
    if (through) {
      Chain& before = chains[static_cast<std::size_t>(graph.info(node.inputs[*through]).node)];
      chains[i] = before;
      before.consumed = true;
    } else {
      chains[i].inputs = {node.inputs[0]};
    }
    int operand = -1;
    if (node.inputs.size() == 2) {
      operand = static_cast<int>(chains[i].inputs.size());
      chains[i].inputs.push_back(node.inputs[through == 1U ? 0 : 1]);
    }
    chains[i].program.push_back(graph::row_instruction(node, operand));
  }
  graph::Copier copier(graph);
  for (std::size_t i = 0; i < chains.size(); ++i) {
    const Node& node = graph.nodes()[i];
    if (chains[i].consumed) continue;
    if (chains[i].program.size() < 2) {
      copier.copy(node);
      continue;
    }
    copier.graph().push_scope(node.scope);
    copier.replace(node.outputs[0], graph::rowwise(copier.values(chains[i].inputs), chains[i].program));
    copier.graph().pop_scope();
  }
  return copier.finish();
}

}  // namespace tenon::compiler
