// Attention: scale, softcap, window or chunk, and how q, k and v are cut into heads.
#include <cmath>

#include "graph/ops.h"
#include "graph/ops/registry.h"
#include "verify/hypotheses/trial.h"

namespace tenon::verify {
namespace {

using graph::Attribute;
using graph::Node;

// Another attribute for every attention that has the same one now.
Change with(std::string kind, std::string text, const Node& like, const char* name, const Attribute& value) {
  return {.kind = std::move(kind),
          .text = std::move(text),
          .node =
              [name, value, now = like.attributes.at(name)](Rewriter& to, int index) {
                const Node& node = to.node(index);
                if (node.op != &graph::kAttention || node.attributes.at(name) != now) return false;
                graph::Attributes attributes = node.attributes;
                attributes[name] = value;
                to.copy_with(index, std::move(attributes));
                return true;
              },
          .weight = {}};
}

// Which positions before it a token sees: of a window or a chunk, not both; 0: all.
struct Reach {
  std::int64_t window = 0, chunk = 0;
  bool operator==(const Reach&) const = default;
};

Reach reach_of(const Node& node) {
  const auto& attributes = node.attributes;
  return {graph::integer(attributes, "window"), attributes.contains("chunk") ? graph::integer(attributes, "chunk") : 0};
}

std::string shown_reach(Reach r) {
  if (r.window != 0) return "the last " + std::to_string(r.window) + " positions (sliding window)";
  return r.chunk != 0 ? "its chunk of " + std::to_string(r.chunk) + " positions" : std::string("all positions");
}

void try_reach(Trial& trial, Reach now, Reach other) {
  if (other == now) return;
  trial.test({.kind = now.chunk != 0 || other.chunk != 0 ? "attention chunk" : "sliding window",
              .text = "the reference attends to " + shown_reach(other) + " here, this model to " + shown_reach(now),
              .node =
                  [now, other](Rewriter& to, int index) {
                    const Node& node = to.node(index);
                    if (node.op != &graph::kAttention || reach_of(node) != now) return false;
                    graph::Attributes attributes = node.attributes;
                    attributes["window"] = other.window;
                    attributes.erase("chunk");
                    if (other.chunk != 0) attributes["chunk"] = other.chunk;
                    to.copy_with(index, std::move(attributes));
                    return true;
                  },
              .weight = {}});
}

void try_reaches(Trial& trial, const Node& attention) {
  const Reach now = reach_of(attention);
  try_reach(trial, now, {});
  // One that is missing, or too wide, shows first at the token that it hides something from.
  for (std::int64_t n = std::max<std::int64_t>(trial.first_row() - 1, 1); n <= trial.first_row() + 1; ++n) {
    try_reach(trial, now, {.window = n});
    try_reach(trial, now, {.chunk = n});
  }
  // One that is too narrow hides first what the reference still sees: any wider one is possible.
  constexpr std::int64_t kMostTried = 96;
  const auto wider = [&](auto reach) {
    for (std::int64_t n = 1; n < std::min(trial.rows(), kMostTried); ++n) try_reach(trial, now, reach(n));
    for (std::int64_t n = 128; n <= 8192; n *= 2) {
      for (const std::int64_t near : {n, n + 1, n - 1}) try_reach(trial, now, reach(near));
    }
  };
  if (now.window > 0) wider([](std::int64_t n) { return Reach{.window = n}; });
  if (now.chunk > 0) wider([](std::int64_t n) { return Reach{.chunk = n}; });
}

// The layout [heads, head_dim] of `x`'s maker, if it is a reshape into heads.
bool splits_heads(const graph::Graph& graph, const Node& node) {
  if (node.op != &graph::kReshape) return false;
  const auto& from = graph.info(node.inputs[0]).type.dims;
  const auto& to = graph.info(node.outputs[0]).type.dims;
  return from.size() == 2 && to.size() == 3;
}

}  // namespace

void try_attention(Trial& trial) {
  const auto nodes = trial.nodes_of(graph::kAttention);
  if (nodes.empty()) return;
  const Node& attention = trial.node(nodes[0]);
  const auto key_dim = static_cast<double>(trial.graph().info(attention.inputs[0]).type.dims.back().size());
  const double scale = graph::number(attention.attributes, "scale"),
               cap = graph::number(attention.attributes, "softcap");
  trial.search({1 / std::sqrt(key_dim), 1.0, 1 / key_dim}, 1e-4, 30.0, [&](double s) {
    return with("attention scale",
                "the reference multiplies attention scores by " + shown(s) + ", this model by " + shown(scale) +
                    " (1/sqrt(head_dim) is " + shown(1 / std::sqrt(key_dim)) + ")",
                attention, "scale", s);
  });
  const auto capped = [&](double c) {
    return with("attention softcap",
                c == 0 ? "the reference does not cap attention scores, this model does at " + shown(cap)
                       : "the reference caps attention scores at " + shown(c) + ", this model " +
                             (cap == 0 ? std::string("does not") : "at " + shown(cap)),
                attention, "softcap", c);
  };
  if (cap != 0) trial.test(capped(0.0));
  trial.search({50, 30, 20, 15, 10}, 0.5, 500.0, capped);
  try_reaches(trial, attention);
}

void try_heads(Trial& trial) {
  const auto nodes = trial.nodes_of(graph::kAttention);
  if (nodes.empty()) return;
  const std::int64_t dim = trial.graph().info(trial.node(nodes[0]).inputs[0]).type.dims.back().size();
  const std::int64_t heads = trial.graph().info(trial.node(nodes[0]).inputs[0]).type.dims[1].size();
  for (const std::int64_t other : {dim / 4, dim / 2, dim * 2, dim * 4}) {
    if (other < 2 || other % 2 != 0 || (heads * dim) % other != 0 || other == dim) continue;
    trial.test({.kind = "head_dim",
                .text = "the reference cuts q, k and v into heads of " + std::to_string(other) + " (" +
                        std::to_string(heads * dim / other) + " query heads), this model of " + std::to_string(dim),
                .node =
                    [dim, other](Rewriter& to, int index) {
                      const Node& node = to.node(index);
                      graph::Attributes attributes = node.attributes;
                      if (splits_heads(to.from(), node)) {
                        const auto& dims = to.from().info(node.outputs[0]).type.dims;
                        if (dims[2].size() != dim || (dims[1].size() * dim) % other != 0) return false;
                        attributes["dims"] = graph::to_string(dims[0]) + ", " +
                                             std::to_string(dims[1].size() * dim / other) + ", " +
                                             std::to_string(other);
                      } else if (node.op == &graph::kRopeTable) {
                        auto& inv_freq = std::get<std::vector<double>>(attributes["inv_freq"]);
                        if (static_cast<std::int64_t>(2 * inv_freq.size()) != dim || inv_freq.size() < 2) return false;
                        const double theta = std::pow(inv_freq[0] / inv_freq[1], static_cast<double>(inv_freq.size()));
                        std::vector<double> table;
                        for (std::int64_t i = 0; i < other; i += 2) {
                          table.push_back(std::pow(theta, -static_cast<double>(i) / static_cast<double>(other)));
                        }
                        inv_freq = std::move(table);
                      } else if (node.op == &graph::kAttention) {
                        attributes["scale"] = 1 / std::sqrt(static_cast<double>(other));
                      } else {
                        return false;
                      }
                      to.copy_with(index, std::move(attributes));
                      return true;
                    },
                .weight = {}});
  }
}

}  // namespace tenon::verify
