// RMS norms: epsilon, 1 + w, and norms that the reference does not have.
#include <set>

#include "graph/ops.h"
#include "graph/ops/registry.h"
#include "verify/hypotheses/trial.h"

namespace tenon::verify {
namespace {

using graph::Node;

// "input_layernorm" of "model.layers.0.input_layernorm", in every layer.
std::string suffix_of(const std::string& scope) {
  const std::string layer = layer_of(scope);
  return layer.empty() ? scope : scope.substr(std::min(layer.size() + 1, scope.size()));
}

// Another attribute for every norm, or for those of one place in a layer.
Change with(std::string kind, std::string text, const char* attribute, double value, const std::string& only = "") {
  return {.kind = std::move(kind),
          .text = std::move(text),
          .node =
              [attribute, value, only](Rewriter& to, int index) {
                const Node& node = to.node(index);
                if (node.op != &graph::kRmsNorm || (!only.empty() && suffix_of(node.scope) != only)) return false;
                graph::Attributes attributes = node.attributes;
                attributes[attribute] = value;
                to.copy_with(index, std::move(attributes));
                return true;
              },
          .weight = {}};
}

}  // namespace

void try_norms(Trial& trial) {
  const auto norms = trial.nodes_of(graph::kRmsNorm);
  if (norms.empty()) return;
  const double eps = graph::number(trial.node(norms[0]).attributes, "eps");
  trial.search({1e-5, 1e-6, 1e-8, 1e-12, 1e-7, 1e-4, 1e-3}, 1e-12, 1.0, [&](double x) {
    return with("norm epsilon", "the reference's norms add epsilon " + shown(x) + ", this model's " + shown(eps), "eps",
                x);
  });
  std::set<std::string> places;
  for (const int index : norms) places.insert(suffix_of(trial.node(index).scope));
  const auto test_offset = [&](const std::string& only, double now) {
    trial.test(with("norm offset",
                    (only.empty() ? std::string("the norms of the reference") : "the reference's norm " + only) +
                        (now == 0 ? " multiply by 1 + weight, this model's by weight"
                                  : " multiply by weight, this model's by 1 + weight"),
                    "weight_offset", now == 0 ? 1.0 : 0.0, only));
  };
  const double offset = graph::number(trial.node(norms[0]).attributes, "weight_offset");
  test_offset("", offset);
  for (const std::string& place : places) {
    for (const int index : norms) {
      const Node& norm = trial.node(index);
      if (suffix_of(norm.scope) == place && places.size() > 1) {
        test_offset(place, graph::number(norm.attributes, "weight_offset"));
        break;
      }
    }
    trial.test({.kind = "extra norm",
                .text = "the reference does not apply the norm " + place + " here, this model does",
                .node =
                    [place](Rewriter& to, int index) {
                      const Node& node = to.node(index);
                      if (node.op != &graph::kRmsNorm || suffix_of(node.scope) != place) return false;
                      to.set(node.outputs[0], to.value(node.inputs[0]));
                      return true;
                    },
                .weight = {}});
  }
}

}  // namespace tenon::verify
