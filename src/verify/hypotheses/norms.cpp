// Norms: epsilon, 1 + w, of which kind, before or after the rotation, and norms that only the reference has, or this
// model.
#include <algorithm>
#include <set>

#include "graph/ops.h"
#include "graph/ops/registry.h"
#include "verify/hypotheses/trial.h"

namespace tenon::verify {
namespace {

using graph::Node;
using graph::Value;

// "input_layernorm" of "model.layers.0.input_layernorm", in every layer.
std::string suffix_of(const std::string& scope) {
  const std::string layer = layer_of(scope);
  return layer.empty() ? scope : scope.substr(std::min(layer.size() + 1, scope.size()));
}

bool is_norm(const Node& node) { return node.op == &graph::kRmsNorm || node.op == &graph::kLayerNorm; }

// Another attribute for every norm that has it, or for those of one place in a layer.
Change with(std::string kind, std::string text, const char* attribute, double value, const std::string& only = "") {
  return {.kind = std::move(kind),
          .text = std::move(text),
          .node =
              [attribute, value, only](Rewriter& to, int index) {
                const Node& node = to.node(index);
                if (!is_norm(node) || !node.attributes.contains(attribute)) return false;
                if (!only.empty() && suffix_of(node.scope) != only) return false;
                graph::Attributes attributes = node.attributes;
                attributes[attribute] = value;
                to.copy_with(index, std::move(attributes));
                return true;
              },
          .weight = {}};
}

void try_offsets(Trial& trial, const std::vector<int>& norms, const std::set<std::string>& places) {
  const auto test = [&](const std::string& only, double now) {
    trial.test(with("norm offset",
                    (only.empty() ? std::string("the norms of the reference") : "the reference's norm " + only) +
                        (now == 0 ? " multiply by 1 + weight, this model's by weight"
                                  : " multiply by weight, this model's by 1 + weight"),
                    "weight_offset", now == 0 ? 1.0 : 0.0, only));
  };
  test("", graph::number(trial.node(norms[0]).attributes, "weight_offset"));
  for (const std::string& place : places) {
    const auto norm = std::ranges::find_if(norms, [&](int i) { return suffix_of(trial.node(i).scope) == place; });
    if (norm != norms.end() && places.size() > 1) {
      test(place, graph::number(trial.node(*norm).attributes, "weight_offset"));
    }
  }
}

std::string beside(const std::string& weight, std::string_view name) {
  const std::size_t dot = weight.rfind('.');
  return dot == std::string::npos ? std::string() : weight.substr(0, dot + 1).append(name);
}

// A layer norm where this model has an RMS norm, with the bias that it then leaves unused; and the reverse.
void try_kinds(Trial& trial) {
  const auto* unused = &trial.background().unused;
  trial.test({.kind = "norm kind",
              .text =
                  "the reference's norms are layer norms (the mean is taken off, a bias may be added), this model's "
                  "RMS norms",
              .node =
                  [unused](Rewriter& to, int index) {
                    const Node& node = to.node(index);
                    if (node.op != &graph::kRmsNorm) return false;
                    const std::string bias = beside(to.from().info(node.inputs[1]).name, "bias");
                    Value y = graph::layer_norm(to.value(node.inputs[0]), graph::number(node.attributes, "eps"),
                                                to.value(node.inputs[1]));
                    if (unused->contains(bias)) y = graph::add(y, to.weight(bias, {y.dim(-1)}));
                    to.set(node.outputs[0], y);
                    return true;
                  },
              .weight = {}});
  trial.test({.kind = "norm kind",
              .text = "the reference's norms are RMS norms (the mean stays), this model's layer norms",
              .node =
                  [](Rewriter& to, int index) {
                    const Node& node = to.node(index);
                    if (node.op != &graph::kLayerNorm) return false;
                    const Value x = to.value(node.inputs[0]);
                    const std::vector<float> ones(static_cast<std::size_t>(x.dim(-1).size()), 1.0f);
                    to.set(node.outputs[0], graph::rms_norm(x, to.graph().constant(ones, {x.dim(-1)}),
                                                            graph::number(node.attributes, "eps")));
                    return true;
                  },
              .weight = {}});
}

// A norm whose weights lie in the checkpoint, unused: before the matmuls of this part, or after all of it.
void try_absent(Trial& trial) {
  constexpr double kEps = 1e-5;
  const auto* unused = &trial.background().unused;
  std::set<int> matmuls;  // of what a part is given
  for (const int index : trial.nodes_of(graph::kLinear)) {
    if (trial.is_known(trial.node(index).inputs[0])) matmuls.insert(index);
  }
  const auto normed = [unused](Rewriter& to, const std::string& weight, Value x, bool rms) {
    const Value w = to.weight(weight, {x.dim(-1)});
    if (rms) return graph::rms_norm(x, w, kEps);
    const std::string bias = beside(weight, "bias");
    return graph::layer_norm(x, kEps, w, unused->contains(bias) ? to.weight(bias, {x.dim(-1)}) : Value());
  };
  for (const auto& [name, shape] : *unused) {
    if (shape.size() != 1 || !name.ends_with(".weight") || layer_of(name) != trial.layer()) continue;
    const std::string place = suffix_of(name.substr(0, name.rfind('.')));
    const auto of_layer = [place](const std::string& layer) {
      return (layer.empty() ? "" : layer + ".") + place + ".weight";
    };
    for (const bool rms : {true, false}) {
      const std::string kind = std::string(rms ? "an RMS norm" : "a layer norm") + " with the checkpoint's " + place;
      trial.test({.kind = "missing norm",
                  .text = "the reference applies " + kind + " at the end of this part, this model does not use it",
                  .node =
                      [normed, of_layer, rms, makers = trial.makers_of_peers()](Rewriter& to, int index) {
                        const auto maker = makers.find(index);
                        if (maker == makers.end()) return false;
                        const Value y = normed(to, of_layer(maker->second), to.copy(index), rms);
                        to.set(to.node(index).outputs[0], y);
                        return true;
                      },
                  .weight = {}});
      if (matmuls.empty()) continue;
      trial.test({.kind = "missing norm",
                  .text = "the reference applies " + kind + " before the matmuls here, this model does not use it",
                  .one_layer = true,
                  .node =
                      [normed, name, rms, matmuls](Rewriter& to, int index) {
                        const Node& node = to.node(index);
                        if (!matmuls.contains(index)) return false;
                        const Value x = normed(to, name, to.value(node.inputs[0]), rms);
                        to.set(node.outputs[0], graph::linear(x, to.value(node.inputs[1])));
                        return true;
                      },
                  .weight = {}});
    }
  }
}

// A matmul that reads x, where the layer has a norm of x for another branch: one norm for both (Cohere).
void try_shared(Trial& trial) {
  // What that norm made, with its weight and bias: the last value of its module before the matmul; -1 if there is none.
  const auto normed = [](const graph::Graph& graph, int matmul, const std::string& place) {
    const auto at = [&](int i) -> const Node& { return graph.nodes()[static_cast<std::size_t>(i)]; };
    if (at(matmul).op != &graph::kLinear) return -1;
    int last = -1;
    for (int i = 0; i < matmul; ++i) {
      const bool here = suffix_of(at(i).scope) == place && layer_of(at(i).scope) == layer_of(at(matmul).scope);
      if (here && (last >= 0 || (is_norm(at(i)) && at(i).inputs[0] == at(matmul).inputs[0]))) last = at(i).outputs[0];
    }
    return last;
  };
  std::set<std::string> places;
  for (const Node& node : trial.graph().nodes()) {
    if (is_norm(node) && layer_of(node.scope) == trial.layer()) places.insert(suffix_of(node.scope));
  }
  for (const std::string& place : places) {
    const auto applies = [&](int index) { return normed(trial.graph(), index, place) >= 0; };
    if (std::ranges::none_of(trial.nodes(), applies)) continue;
    trial.test({.kind = "missing norm",
                .text = "the reference reads what the norm " + place + " made here, this model what it was made of",
                .node =
                    [normed, place](Rewriter& to, int index) {
                      const int value = normed(to.from(), index, place);
                      if (value < 0) return false;
                      const Node& matmul = to.node(index);
                      to.set(matmul.outputs[0], graph::linear(to.value(value), to.value(matmul.inputs[1])));
                      return true;
                    },
                .weight = {}});
  }
}

// The norm of a node, where it rotates what that made (`rotates_last`), or that of what a rotation made; else null.
const Node* rotated_norm(const graph::Graph& graph, const Node& node, bool rotates_last) {
  const Node& outer = node;
  const int made_by = outer.inputs.empty() ? -1 : graph.info(outer.inputs[0]).node;
  if (made_by < 0) return nullptr;
  const Node& inner = graph.nodes()[static_cast<std::size_t>(made_by)];
  const Node &norm = rotates_last ? inner : outer, &rope = rotates_last ? outer : inner;
  return norm.op == &graph::kRmsNorm && rope.op == &graph::kRope ? &inner : nullptr;
}

// Norms of queries and keys: their weights, of each dim another, make a difference between before and after rotation.
void try_order(Trial& trial) {
  const auto swapped = [](std::string text, bool rotates_last) {
    return Change{.kind = "norm order",
                  .text = std::move(text),
                  .node =
                      [rotates_last](Rewriter& to, int index) {
                        const Node& outer = to.node(index);
                        const Node* inner = rotated_norm(to.from(), outer, rotates_last);
                        if (inner == nullptr) return false;
                        const Node &norm = rotates_last ? *inner : outer, &rope = rotates_last ? outer : *inner;
                        const auto normed = [&](Value x) {
                          return graph::rms_norm(x, to.value(norm.inputs[1]), graph::number(norm.attributes, "eps"),
                                                 graph::number(norm.attributes, "weight_offset"));
                        };
                        const auto rotated = [&](Value x) {
                          return graph::rope(x, to.value(rope.inputs[1]),
                                             graph::integer(rope.attributes, "interleaved") != 0);
                        };
                        const Value x = to.value(inner->inputs[0]);
                        to.set(outer.outputs[0], rotates_last ? normed(rotated(x)) : rotated(normed(x)));
                        return true;
                      },
                  .weight = {}};
  };
  for (const bool rotates_last : {true, false}) {
    const auto applies = [&](int i) { return rotated_norm(trial.graph(), trial.node(i), rotates_last) != nullptr; };
    if (std::ranges::none_of(trial.nodes(), applies)) continue;
    trial.test(swapped(rotates_last
                           ? "the reference rotates queries and keys before their norms, this model after them"
                           : "the reference rotates queries and keys after their norms, this model before them",
                       rotates_last));
  }
}

// What a norm read that made one side of a sum, and what a branch reads too: the residual stream, if the norm was meant
// for the branch alone. -1: there is no such norm.
int stream_of(const graph::Graph& graph, const Node& sum, std::size_t side) {
  if (sum.op != &graph::kAdd) return -1;
  const auto maker = [&](int value) {
    const int index = graph.info(value).node;
    return index < 0 ? nullptr : &graph.nodes()[static_cast<std::size_t>(index)];
  };
  const auto reads = [&](const Node& node) { return std::ranges::count(node.inputs, sum.inputs[side]) != 0; };
  if (std::ranges::count_if(graph.nodes(), reads) < 2) return -1;
  const Node *last = maker(sum.inputs[side]), *norm = last;
  while (norm != nullptr && !is_norm(*norm) && norm->scope == last->scope) norm = maker(norm->inputs[0]);
  return norm != nullptr && is_norm(*norm) && norm->scope == last->scope ? norm->inputs[0] : -1;
}

void try_normed_stream(Trial& trial) {
  for (const std::size_t side : {std::size_t{0}, std::size_t{1}}) {
    const auto applies = [&](int i) { return stream_of(trial.graph(), trial.node(i), side) >= 0; };
    if (std::ranges::none_of(trial.nodes(), applies)) continue;
    trial.test(
        {.kind = "normed residual",
         .text = "the reference adds the branch to what the norm before it reads, this model to what the norm makes",
         .node =
             [side](Rewriter& to, int index) {
               const Node& sum = to.node(index);
               const int stream = stream_of(to.from(), sum, side);
               if (stream < 0) return false;
               to.set(sum.outputs[0], graph::add(to.value(stream), to.value(sum.inputs[1 - side])));
               return true;
             },
         .weight = {}});
  }
}

}  // namespace

void try_norms(Trial& trial) {
  try_absent(trial);
  try_shared(trial);
  try_order(trial);
  std::vector<int> norms;
  std::set<std::string> places;
  for (const int index : trial.nodes()) {
    if (!is_norm(trial.node(index))) continue;
    norms.push_back(index);
    places.insert(suffix_of(trial.node(index).scope));
  }
  if (norms.empty()) return;
  const double eps = graph::number(trial.node(norms[0]).attributes, "eps");
  trial.search({1e-5, 1e-6, 1e-8, 1e-12, 1e-7, 1e-4, 1e-3}, 1e-12, 1.0, [&](double x) {
    return with("norm epsilon", "the reference's norms add epsilon " + shown(x) + ", this model's " + shown(eps), "eps",
                x);
  });
  if (const auto rms = trial.nodes_of(graph::kRmsNorm); !rms.empty()) try_offsets(trial, rms, places);
  try_kinds(trial);
  try_normed_stream(trial);
  for (const std::string& place : places) {
    trial.test({.kind = "extra norm",
                .text = "the reference does not apply the norm " + place + " here, this model does",
                .node =
                    [place](Rewriter& to, int index) {
                      const Node& node = to.node(index);
                      if (!is_norm(node) || suffix_of(node.scope) != place) return false;
                      to.set(node.outputs[0], to.value(node.inputs[0]));
                      return true;
                    },
                .weight = {}});
  }
}

}  // namespace tenon::verify
