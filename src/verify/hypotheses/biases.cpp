// Biases that are missing here, or that the reference does not have.
#include <cmath>
#include <set>

#include "graph/ops.h"
#include "graph/ops/registry.h"
#include "verify/hypotheses/trial.h"

namespace tenon::verify {
namespace {

using graph::Node;
using graph::Value;

// "model.layers.0.mlp.up_proj.bias" of a linear layer's weight, or of the one that a layer norm multiplies by; "" if it
// is neither.
std::string bias_name(const graph::Graph& graph, const Node& node) {
  if (node.op != &graph::kLinear && node.op != &graph::kMul) return "";
  const graph::ValueInfo& weight = graph.info(node.inputs[1]);
  constexpr std::string_view kWeight = ".weight";
  if (weight.source != graph::Source::kWeight || !weight.name.ends_with(kWeight)) return "";
  return weight.name.substr(0, weight.name.size() - kWeight.size()) + ".bias";
}

// Biases that lie in the checkpoint and that nothing adds.
void try_unused(Trial& trial) {
  std::set<std::string> names;
  for (const int index : trial.nodes()) {
    const std::string name = bias_name(trial.graph(), trial.node(index));
    if (trial.background().unused.contains(name)) names.insert(name);
  }
  if (names.empty()) return;
  std::string list;
  for (const std::string& name : names) list += (list.empty() ? "" : ", ") + name;
  const auto* unused = &trial.background().unused;
  trial.test({.kind = "missing bias",
              .text = "the reference adds the checkpoint's biases (" + list + "), this model does not use them",
              .node =
                  [unused](Rewriter& to, int index) {
                    const Node& node = to.node(index);
                    const std::string name = bias_name(to.from(), node);
                    if (name.empty() || !unused->contains(name)) return false;
                    const Value y = to.copy(index);
                    to.set(node.outputs[0], graph::add(y, to.weight(name, {y.dim(-1)})));
                    return true;
                  },
              .weight = {}});
}

// A bias that we add: a vector of the checkpoint added to a value.
void try_extra(Trial& trial) {
  std::set<std::string> names;
  for (const int index : trial.nodes_of(graph::kAdd)) {
    const int vector = trial.node(index).inputs[1];
    if (trial.is_weight(vector)) names.insert(trial.graph().info(vector).name);
  }
  std::set<std::string> places = {""};
  for (const std::string& name : names) places.insert(name.substr(layer_of(name).size()));
  for (const std::string& place : places) {
    if (names.empty()) return;
    trial.test({.kind = "extra bias",
                .text = "the reference does not add " +
                        (place.empty() ? std::string("the biases here") : "the bias " + place.substr(place[0] == '.')) +
                        ", this model does",
                .node =
                    [place](Rewriter& to, int index) {
                      const Node& node = to.node(index);
                      if (node.op != &graph::kAdd) return false;
                      const graph::ValueInfo& vector = to.from().info(node.inputs[1]);
                      if (vector.source != graph::Source::kWeight) return false;
                      if (!place.empty() && !vector.name.ends_with(place)) return false;
                      to.set(node.outputs[0], to.value(node.inputs[0]));
                      return true;
                    },
                .weight = {}});
  }
}

// The same vector missing from every token's output: a bias of the last matmul, or of v, whose weights add up to one.
void try_constant(Trial& trial) {
  const auto& ref = trial.reference();
  const auto& ours = trial.ours();
  constexpr std::int64_t kFewest = 4;  // tokens: with fewer any difference looks constant
  if (ref.rows() < kFewest || ours.f32.size() != ref.f32.size()) return;
  const int last = trial.graph().info(trial.target()).node;
  if (last < 0) return;
  std::vector<float> mean(static_cast<std::size_t>(ref.last()));
  for (std::size_t i = 0; i < mean.size(); ++i) {
    double sum = 0;
    for (std::int64_t r = 0; r < ref.rows(); ++r) {
      sum += static_cast<double>(ref.row(r)[i]) - ours.row(r)[i];
    }
    mean[i] = static_cast<float>(sum / static_cast<double>(ref.rows()));
  }
  trial.test({.kind = "missing bias",
              .text = "the reference adds one and the same vector to " + trial.tap() +
                      " for every token: a bias that this model lacks",
              .one_layer = true,
              .node =
                  [last, mean](Rewriter& to, int index) {
                    if (index != last) return false;
                    const Value y = to.copy(index);
                    to.set(to.node(index).outputs[0], graph::add(y, to.graph().constant(mean, {y.dim(-1)})));
                    return true;
                  },
              .weight = {}});
}

}  // namespace

void try_biases(Trial& trial) {
  try_unused(trial);
  try_extra(trial);
  try_constant(trial);
}

}  // namespace tenon::verify
