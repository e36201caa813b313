// Factors: of embeddings, residual branches and logits; and the cap of logits.
#include <cmath>

#include "graph/ops.h"
#include "graph/ops/registry.h"
#include "verify/hypotheses/trial.h"

namespace tenon::verify {
namespace {

using graph::Node;
using graph::Value;

// What follows the value of one node: f(copy of it).
Change after(std::string kind, std::string text, int at, std::function<Value(Value)> f) {
  return {.kind = std::move(kind),
          .text = std::move(text),
          .node =
              [at, f = std::move(f)](Rewriter& to, int index) {
                if (index != at) return false;
                to.set(to.node(index).outputs[0], f(to.copy(index)));
                return true;
              },
          .weight = {}};
}

// The factor that brings ours nearest to the reference.
double best_factor(const graph::Tensor& reference, const graph::Tensor& ours) {
  double pq = 0, qq = 0;
  for (std::size_t i = 0; i < reference.f32.size() && i < ours.f32.size(); ++i) {
    pq += static_cast<double>(reference.f32[i]) * ours.f32[i];
    qq += static_cast<double>(ours.f32[i]) * ours.f32[i];
  }
  return qq == 0 ? 0 : pq / qq;
}

// The scope without the layer's prefix, so that the same place is found in every layer.
std::string place(const std::string& scope) {
  const std::string layer = layer_of(scope);
  return layer.empty() ? scope : std::string("*").append(scope, layer.size());
}

// Scales one of the two values that residual additions add.
void try_branches(Trial& trial) {
  for (const int index : trial.nodes_of(graph::kAdd)) {
    const Node& node = trial.node(index);
    if (trial.is_weight(node.inputs[1])) continue;
    for (const std::size_t side : {std::size_t{1}, std::size_t{0}}) {
      trial.search({0.5, 2.0, 0.22}, 1e-2, 1e2, [&](double s) {
        return Change{
            .kind = "residual scale",
            .text = "the reference multiplies " +
                    std::string(side == 1 ? "what a block adds to the residual stream" : "the residual stream") +
                    " by " + shown(s) + " times what this model does, in " + place(node.scope),
            .node =
                [side, s, where = place(node.scope)](Rewriter& to, int i) {
                  const Node& n = to.node(i);
                  if (n.op != &graph::kAdd || place(n.scope) != where) return false;
                  if (to.from().info(n.inputs[1]).source == graph::Source::kWeight) return false;
                  Value a = to.value(n.inputs[0]), b = to.value(n.inputs[1]);
                  (side == 1 ? b : a) = graph::scale(side == 1 ? b : a, s);
                  to.set(n.outputs[0], graph::add(a, b));
                  return true;
                },
            .weight = {}};
      });
    }
  }
}

// Factors that the graph already has, apart from those of embeddings.
void try_factors(Trial& trial) {
  for (const int index : trial.nodes_of(graph::kScale)) {
    const double now = graph::number(trial.node(index).attributes, "s");
    const std::string where = place(trial.node(index).scope);
    if (now == 0) continue;
    trial.search({1.0, 1 / now}, 1e-3 * std::abs(now), 1e3 * std::abs(now), [&](double s) {
      return Change{
          .kind = "scale",
          .text = "the reference multiplies by " + shown(s) + " where this model multiplies by " + shown(now) +
                  (where.empty() ? "" : ", in " + where),
          .node =
              [s, now, where](Rewriter& to, int i) {
                const Node& n = to.node(i);
                if (n.op != &graph::kScale || place(n.scope) != where || graph::number(n.attributes, "s") != now) {
                  return false;
                }
                to.copy_with(i, {{"s", s}});
                return true;
              },
          .weight = {}};
    });
  }
}

void try_logits_cap(Trial& trial) {
  const auto caps = trial.nodes_of(graph::kSoftcap);
  const int last = trial.graph().info(trial.target()).node;
  if (caps.empty()) {
    trial.search({30, 50, 20, 15, 10}, 0.5, 500, [&](double cap) {
      return after("final softcap", "the reference caps logits at " + shown(cap) + ", this model does not", last,
                   [cap](Value x) { return graph::softcap(x, cap); });
    });
    return;
  }
  const double now = graph::number(trial.node(caps[0]).attributes, "cap");
  const auto replaced = [&](double cap) {
    return Change{.kind = "final softcap",
                  .text = cap == 0 ? "the reference does not cap logits, this model does at " + shown(now)
                                   : "the reference caps logits at " + shown(cap) + ", this model at " + shown(now),
                  .node =
                      [cap](Rewriter& to, int i) {
                        const Node& n = to.node(i);
                        if (n.op != &graph::kSoftcap) return false;
                        const Value x = to.value(n.inputs[0]);
                        to.set(n.outputs[0], cap == 0 ? x : graph::softcap(x, cap));
                        return true;
                      },
                  .weight = {}};
  };
  trial.test(replaced(0));
  trial.search({30, 50, 20, 15, 10}, 0.5, 500, replaced);
}

}  // namespace

void try_scales(Trial& trial) {
  const bool embeds = !trial.nodes_of(graph::kEmbedding).empty();
  const int last = trial.graph().info(trial.target()).node;
  const double factor = best_factor(trial.reference(), trial.ours());
  if (factor > 0 && last >= 0) {
    const double hidden = static_cast<double>(trial.reference().last());
    const std::string what = embeds ? "embeddings" : trial.tap() == "logits" ? "logits" : "the output";
    const std::string root =
        embeds && std::abs(factor / std::sqrt(hidden) - 1) < 1e-3 ? " (the square root of the hidden size)" : "";
    trial.test(after(embeds                    ? "embedding scale"
                     : trial.tap() == "logits" ? "logits scale"
                                               : "output scale",
                     "the reference's " + what + " are " + shown(factor) + root + " times this model's", last,
                     [factor](Value x) { return graph::scale(x, factor); }));
  }
  if (!embeds) try_factors(trial);
  if (trial.tap() == "logits") try_logits_cap(trial);
  try_branches(trial);
}

}  // namespace tenon::verify
