// Which values a block adds, and what its branches read: one after the other, or side by side.
#include <algorithm>
#include <map>

#include "graph/ops.h"
#include "graph/ops/registry.h"
#include "verify/hypotheses/trial.h"

namespace tenon::verify {
namespace {

using graph::Node;
using graph::Value;

bool is_residual(const graph::Graph& graph, const Node* node) {
  return node != nullptr && node->op == &graph::kAdd && graph.info(node->inputs[1]).source != graph::Source::kWeight;
}

// The node with another value in the place of its first input.
bool replace_input(Rewriter& to, int index, Value x) {
  const Node& node = to.node(index);
  std::vector<Value> inputs = {x};
  for (std::size_t i = 1; i < node.inputs.size(); ++i) inputs.push_back(to.value(node.inputs[i]));
  to.set(node.outputs[0], to.graph().record1(*node.op, inputs, node.attributes));
  return true;
}

bool reads_the_stream(const Node& node) {
  return node.op == &graph::kRmsNorm || node.op == &graph::kLayerNorm || node.op == &graph::kLinear;
}

// A branch that reads x + a here reads x alone in the reference: beside the other branch, not after it.
void try_parallel(Trial& trial) {
  const std::set<int> known = trial.known_values();  // of parts: not a sum within one
  const auto reads_a_sum = [known](const graph::Graph& graph, const Node& node, const Node* maker) {
    return reads_the_stream(node) && !known.contains(node.inputs[0]) && is_residual(graph, maker);
  };
  const bool applies = std::ranges::any_of(trial.nodes(), [&](int index) {
    const Node& node = trial.node(index);
    return reads_a_sum(trial.graph(), node, trial.maker(node.inputs[0]));
  });
  if (!applies) return;
  for (const std::size_t side : {std::size_t{0}, std::size_t{1}}) {
    trial.test({.kind = "parallel branches",
                .text = side == 0
                            ? "the reference reads the layer's input here, beside attention (a parallel residual), "
                              "this model what attention was added to"
                            : "the reference reads what the branch before made here, this model what it was added "
                              "to (the residual stream)",
                .node =
                    [side, reads_a_sum](Rewriter& to, int index) {
                      const Node& node = to.node(index);
                      const Node* add = to.maker(node.inputs[0]);
                      if (!reads_a_sum(to.from(), node, add)) return false;
                      return replace_input(to, index, to.value(add->inputs[side]));
                    },
                .weight = {}});
  }
}

std::string suffix_in(const std::string& layer, const std::string& name) {
  return layer.empty() || !name.starts_with(layer + ".") ? std::string() : name.substr(layer.size() + 1);
}

// The value of each tap of a graph.
std::map<std::string, int> values_of(const graph::Graph& graph) { return {graph.taps().begin(), graph.taps().end()}; }

// The reverse: here a branch reads x, and in the reference x plus what another branch of the layer made.
void try_sequential(Trial& trial) {
  const std::string here = suffix_in(trial.layer(), trial.tap());
  for (const auto& [name, value] : values_of(trial.graph())) {
    const std::string other = suffix_in(trial.layer(), name);
    if (other.empty() || here.empty() || other == here) continue;
    trial.test(
        {.kind = "parallel branches",
         .text = "the reference adds " + other +
                 " to the residual stream before it is read here, this model reads "
                 "the layer's input",
         .node =
             [other, here, known = trial.known_values(), taps = values_of(trial.graph())](Rewriter& to, int index) {
               const Node& node = to.node(index);
               const std::string layer = layer_of(node.scope);
               if (!reads_the_stream(node) || !known.contains(node.inputs[0])) return false;
               const auto branch = taps.find(layer + "." + other), mine = taps.find(layer + "." + here);
               if (branch == taps.end() || mine == taps.end() || node.inputs[0] == branch->second) return false;
               // Of this branch: what it reads is made before the other branch, and it ends in this tap.
               const int made = to.from().info(branch->second).node;
               if (made >= index || to.from().info(mine->second).node < index) return false;
               return replace_input(to, index, graph::add(to.value(node.inputs[0]), to.value(branch->second)));
             },
         .weight = {}});
  }
}

// A sum at the end of a part that lacks a term: the layer's input, a branch, or both.
void try_lost(Trial& trial) {
  const auto makers = trial.makers_of_peers();
  const auto values = values_of(trial.graph());
  // The tap before the first of a layer; -1 if there is none.
  const auto input_of = [taps = trial.graph().taps()](const std::string& layer) {
    int before = -1;
    for (const auto& [name, value] : taps) {
      if (layer_of(name) == layer) break;
      before = value;
    }
    return before;
  };
  const auto test = [&](const std::string& what, const std::string& branch, bool input) {
    trial.test({.kind = "missing residual",
                .text = "the reference adds " + what + " to the output of this part, this model does not",
                .node =
                    [makers, values, input_of, branch, input](Rewriter& to, int index) {
                      const auto maker = makers.find(index);
                      if (maker == makers.end()) return false;
                      const auto tap = values.find(maker->second + "." + branch);
                      const int before = input ? input_of(maker->second) : -1;
                      if ((input && before < 0) || (!branch.empty() && tap == values.end())) return false;
                      Value y = to.copy(index);
                      if (!branch.empty()) y = graph::add(y, to.value(tap->second));
                      if (input) y = graph::add(y, to.value(before));
                      to.set(to.node(index).outputs[0], y);
                      return true;
                    },
                .weight = {}});
  };
  test("the layer's input", "", true);
  for (const auto& [name, value] : values) {
    const std::string branch = suffix_in(trial.layer(), name);
    if (branch.empty() || name == trial.tap()) continue;
    test(branch, branch, false);
    test("the layer's input and " + branch, branch, true);
  }
  for (const int index : trial.nodes()) {
    const Node& node = trial.node(index);
    if (!is_residual(trial.graph(), &node) || !makers.contains(index)) continue;
    for (const std::size_t side : {std::size_t{0}, std::size_t{1}}) {
      trial.test({.kind = "extra residual",
                  .text = std::string("the reference does not add ") + (side == 0 ? "the second" : "the first") +
                          " of the two values that this model adds last here",
                  .node =
                      [makers, side](Rewriter& to, int i) {
                        if (!makers.contains(i) || !is_residual(to.from(), &to.node(i))) return false;
                        to.set(to.node(i).outputs[0], to.value(to.node(i).inputs[side]));
                        return true;
                      },
                  .weight = {}});
    }
  }
}

}  // namespace

void try_residuals(Trial& trial) {
  try_parallel(trial);
  try_sequential(trial);
  if (trial.tap() != "logits") try_lost(trial);
}

}  // namespace tenon::verify
