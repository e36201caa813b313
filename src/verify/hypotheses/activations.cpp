// The function between the matmuls of an MLP.
#include <array>
#include <cmath>

#include "graph/ops.h"
#include "graph/ops/registry.h"
#include "nn/layers.h"
#include "verify/hypotheses/trial.h"

namespace tenon::verify {
namespace {

using graph::Node;

// What is applied to which value where this node ends an activation; nullptr if it does not.
struct Applied {
  std::string_view name = {};
  int to = -1;
};

Applied applied(const graph::Graph& graph, const Node& node) {
  const auto maker = [&](int value) -> const Node* {
    const int index = graph.info(value).node;
    return index < 0 ? nullptr : &graph.nodes()[static_cast<std::size_t>(index)];
  };
  if (node.op == &graph::kSilu) return {"silu", node.inputs[0]};
  if (node.op == &graph::kGelu) return {"gelu", node.inputs[0]};
  if (node.op == &graph::kGeluTanh) return {"gelu_pytorch_tanh", node.inputs[0]};
  if (node.op == &graph::kRelu) return {"relu", node.inputs[0]};
  if (node.op == &graph::kSigmoid) return {"sigmoid", node.inputs[0]};
  if (node.op == &graph::kTanh) return {"tanh", node.inputs[0]};
  if (node.op != &graph::kMul) return {};
  const Node *a = maker(node.inputs[0]), *b = maker(node.inputs[1]);
  if (a != nullptr && a == b && a->op == &graph::kRelu) return {"relu2", a->inputs[0]};
  if (b != nullptr && b->op == &graph::kSigmoid) {  // x * sigmoid(1.702 x)
    const Node* scaled = maker(b->inputs[0]);
    if (scaled != nullptr && scaled->op == &graph::kScale && scaled->inputs[0] == node.inputs[0]) {
      return {"quick_gelu", node.inputs[0]};
    }
  }
  return {};
}

constexpr std::array kNames = std::to_array<std::string_view>(
    {"silu", "gelu", "gelu_pytorch_tanh", "quick_gelu", "relu", "relu2", "sigmoid", "tanh"});

bool is_linear(const Rewriter& to, const Node* node) {
  if (node != nullptr && node->op == &graph::kAdd) node = to.maker(node->inputs[0]);
  return node != nullptr && node->op == &graph::kLinear;
}

// Two matmuls with nothing between them but a bias, or but the product of gate and up.
void try_missing(Trial& trial) {
  for (const std::string_view name : kNames) {
    for (const std::size_t side : {std::size_t{0}, std::size_t{1}}) {
      trial.test({.kind = "activation",
                  .text = "the reference applies " + std::string(name) + " between two matmuls, this model nothing",
                  .node =
                      [name, side](Rewriter& to, int index) {
                        const Node& node = to.node(index);
                        const bool gated = node.op == &graph::kMul && is_linear(to, to.maker(node.inputs[1]));
                        if ((!gated && (node.op != &graph::kLinear || side == 1)) ||
                            !is_linear(to, to.maker(node.inputs[side]))) {
                          return false;
                        }
                        std::vector<graph::Value> inputs = {to.value(node.inputs[0]), to.value(node.inputs[1])};
                        inputs[side] = nn::find_activation(name)(inputs[side]);
                        to.set(node.outputs[0], to.graph().record1(*node.op, inputs));
                        return true;
                      },
                  .weight = {}});
    }
  }
}

}  // namespace

void try_activations(Trial& trial) {
  std::string_view now;
  for (const int index : trial.nodes()) {
    // The last one counts: quick_gelu and relu2 are made of others.
    if (const Applied a = applied(trial.graph(), trial.node(index)); a.to >= 0) now = a.name;
  }
  if (now.empty()) return try_missing(trial);
  for (const std::string_view name : kNames) {
    if (name == now) continue;
    trial.test({.kind = "activation",
                .text = "the reference's activation is " + std::string(name) + ", this model's " + std::string(now),
                .node =
                    [name, now](Rewriter& to, int index) {
                      const Node& node = to.node(index);
                      const Applied a = applied(to.from(), node);
                      if (a.to < 0 || a.name != now) return false;
                      to.set(node.outputs[0], nn::find_activation(name)(to.value(a.to)));
                      return true;
                    },
                .weight = {}});
  }
}

}  // namespace tenon::verify
