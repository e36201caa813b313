// A mixture of experts: how many each token goes to, which, and with what weights.
#include <algorithm>

#include "graph/ops.h"
#include "graph/ops/registry.h"
#include "graph/ops/router.h"
#include "verify/hypotheses/trial.h"

namespace tenon::verify {
namespace {

using graph::Attributes;
using graph::Node;

// Other options for every router that has the same ones now.
Change with(std::string kind, std::string text, const Node& like, const Attributes& options) {
  return {.kind = std::move(kind),
          .text = std::move(text),
          .node =
              [options, now = like.attributes](Rewriter& to, int index) {
                const Node& node = to.node(index);
                if (node.op != &graph::kRouteExperts || node.attributes != now) return false;
                Attributes attributes = node.attributes;
                for (const auto& [name, value] : options) attributes[name] = value;
                to.copy_with(index, std::move(attributes));
                return true;
              },
          .weight = {}};
}

std::string shown_scoring(const std::string& scoring) {
  if (scoring == "softmax") return "a softmax over all experts";
  if (scoring == "sigmoid") return "a sigmoid of each score";
  if (scoring == "softmax_of_chosen") return "a softmax over the chosen experts";
  return "a sigmoid of the chosen experts' scores";
}

void try_normalization(Trial& trial, const Node& router) {
  const bool now = graph::router_options(router.attributes).normalize;
  trial.test(
      with("norm_topk_prob",
           now ? "the reference takes the weights of the chosen experts as they are (norm_topk_prob false), this "
                 "model divides them by their sum"
               : "the reference divides the weights of the chosen experts by their sum (norm_topk_prob), this "
                 "model does not",
           router, {{"normalize", std::int64_t{!now}}}));
}

void try_counts(Trial& trial, const Node& router, std::int64_t experts) {
  constexpr std::int64_t kMostTried = 16;
  const int now = graph::router_options(router.attributes).top_k;
  for (std::int64_t k = 1; k <= std::min(experts, kMostTried); ++k) {
    if (k == now) continue;
    trial.test(
        with("experts per token",
             "the reference sends a token to " + std::to_string(k) + " experts, this model to " + std::to_string(now),
             router, {{"top_k", k}}));
  }
}

void try_scorings(Trial& trial, const Node& router) {
  const auto now = graph::attribute<std::string>(router.attributes, "scoring");
  const bool normalized = graph::router_options(router.attributes).normalize;
  for (const bool normalize : {normalized, !normalized}) {
    for (const std::string scoring : {"softmax", "sigmoid", "softmax_of_chosen", "sigmoid_of_chosen"}) {
      if (scoring == now) continue;
      const std::string also = normalize == normalized ? "" : normalize ? ", divided by their sum" : ", as they are";
      trial.test(with("expert scoring",
                      "the reference makes the experts' weights by " + shown_scoring(scoring) + also +
                          ", this model by " + shown_scoring(now),
                      router, {{"scoring", scoring}, {"normalize", std::int64_t{normalize}}}));
    }
  }
}

void try_factor(Trial& trial, const Node& router) {
  const double now = graph::router_options(router.attributes).scale;
  trial.search({1.0, 2.5, 16.0}, 0.05, 50.0, [&](double scale) {
    return with("routed scaling factor",
                "the reference multiplies the experts' weights by " + shown(scale) + ", this model by " + shown(now),
                router, {{"scale", scale}});
  });
}

void try_groups(Trial& trial, const Node& router, std::int64_t experts) {
  constexpr std::int64_t kMostGroups = 8;
  const graph::RouterOptions now = graph::router_options(router.attributes);
  const auto shown_groups = [](std::int64_t groups, std::int64_t kept) {
    return groups == 1 ? std::string("among all experts")
                       : "within the best " + std::to_string(kept) + " of " + std::to_string(groups) + " groups";
  };
  for (std::int64_t groups = 1; groups <= std::min(experts, kMostGroups); ++groups) {
    if (experts % groups != 0) continue;
    for (std::int64_t kept = 1; kept == 1 || kept < groups; ++kept) {
      if (groups == now.n_group && kept == now.topk_group) continue;
      trial.test(with("expert groups",
                      "the reference chooses " + shown_groups(groups, kept) + ", this model " +
                          shown_groups(now.n_group, now.topk_group),
                      router, {{"n_group", groups}, {"topk_group", kept}}));
    }
  }
}

}  // namespace

void try_experts(Trial& trial) {
  const auto nodes = trial.nodes_of(graph::kRouteExperts);
  if (nodes.empty()) return;
  const Node& router = trial.node(nodes[0]);
  const std::int64_t experts = trial.graph().info(router.inputs[0]).type.dims.back().size();
  try_normalization(trial, router);
  try_counts(trial, router, experts);
  try_factor(trial, router);
  try_scorings(trial, router);
  try_groups(trial, router, experts);
}

}  // namespace tenon::verify
