// Which experts each token goes to, and with what weight. Covers softmax routing (Shazeer 2017, Mixtral, Qwen-MoE), a
// softmax over the chosen (Granite, GPT-OSS) or their sigmoids (Llama 4), and sigmoid scores with groups and a
// correction bias (DeepSeek-V2/V3).
#include <algorithm>
#include <array>
#include <cmath>
#include <functional>
#include <limits>
#include <numeric>

#include "graph/ops.h"
#include "graph/ops/registry.h"
#include "graph/ops/router.h"

namespace tenon::graph {
namespace {

constexpr std::array kScorings = {"softmax", "sigmoid", "softmax_of_chosen", "sigmoid_of_chosen"};
constexpr std::array kGroupScores = {"max", "sum_of_two"};

template <std::size_t n>
std::size_t index_of(const std::array<const char*, n>& names, const std::string& name) {
  const auto it = std::ranges::find(names, name);
  TENON_CHECK(it != names.end(), "router option " + name);
  return static_cast<std::size_t>(it - names.begin());
}

std::vector<Type> infer(const Signature& signature) {
  expect_inputs(signature, 1, 2);
  expect_float(signature, 0, "logits", 2);
  const std::int64_t experts = last_dim(signature, 0, "logits");
  const RouterOptions o = router_options(signature.attributes);
  if (signature.type(0).dims.size() != 2) reject(signature, describe(signature, 0, "logits") + ", not a matrix");
  if (signature.inputs.size() == 2 && signature.type(1).dims != std::vector<Dim>{Dim(experts)}) {
    reject(signature, describe(signature, 0, "logits") + ", " + describe(signature, 1, "the correction bias"));
  }
  const auto number = [](std::int64_t x) { return std::to_string(x); };
  if (o.top_k < 1 || o.top_k > experts) {
    reject(signature, number(o.top_k) + " of " + number(experts) + " experts cannot be chosen");
  }
  if (o.n_group < 1 || experts % o.n_group != 0 || o.topk_group < 1 || o.topk_group > o.n_group ||
      o.top_k > experts / o.n_group * o.topk_group) {
    reject(signature, number(o.topk_group) + " of " + number(o.n_group) + " groups of " + number(experts) +
                          " experts do not hold " + number(o.top_k));
  }
  const Dim tokens = signature.type(0).dims[0];
  return {{DType::kI32, {tokens, o.top_k}}, {DType::kF32, {tokens, o.top_k}}};
}

// The indices of the n largest, the largest first; of equals the lowest index first.
std::vector<std::size_t> largest(const std::vector<double>& x, int n) {
  std::vector<std::size_t> order(x.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::ranges::stable_sort(order, [&](std::size_t a, std::size_t b) { return x[a] > x[b]; });
  order.resize(static_cast<std::size_t>(n));
  return order;
}

std::vector<double> softmax(std::vector<double> x) {
  const double most = *std::ranges::max_element(x);
  double sum = 0;
  for (double& v : x) sum += v = std::exp(v - most);
  for (double& v : x) v /= sum;
  return x;
}

// Experts outside the best groups cannot be chosen.
void keep_groups(std::vector<double>& choice, const RouterOptions& o) {
  const std::size_t size = choice.size() / static_cast<std::size_t>(o.n_group);
  std::vector<double> scores;
  for (auto begin = choice.begin(); begin != choice.end(); begin += static_cast<std::ptrdiff_t>(size)) {
    std::vector<double> group(begin, begin + static_cast<std::ptrdiff_t>(size));
    std::ranges::sort(group, std::greater());
    scores.push_back(o.group_score == GroupScore::kMax || size == 1 ? group[0] : group[0] + group[1]);
  }
  const auto kept = largest(scores, o.topk_group);
  for (std::size_t e = 0; e < choice.size(); ++e) {
    if (std::ranges::find(kept, e / size) == kept.end()) choice[e] = -std::numeric_limits<double>::infinity();
  }
}

void reference(Call& call) {
  const RouterOptions o = router_options(call.attributes);
  for (std::int64_t t = 0; t < call.in(0).rows(); ++t) {
    const float* logits = call.in(0).row(t);
    std::vector<double> scores(logits, logits + call.in(0).last());
    if (o.scoring == RouterScoring::kSoftmaxOfAll) scores = softmax(scores);
    if (o.scoring == RouterScoring::kSigmoidOfEach) {
      for (double& s : scores) s = 1 / (1 + std::exp(-s));
    }
    // Compared as float32, as the model would: what rounds to the same number is a tie.
    for (double& s : scores) s = static_cast<float>(s);
    std::vector<double> choice = scores;
    for (std::size_t e = 0; call.inputs.size() == 2 && e < choice.size(); ++e) {
      choice[e] = static_cast<float>(choice[e]) + call.in(1).f32[e];
    }
    if (o.n_group > 1) keep_groups(choice, o);
    const auto chosen = largest(choice, o.top_k);
    std::vector<double> weights;
    for (std::size_t e : chosen) weights.push_back(scores[e]);
    if (o.scoring == RouterScoring::kSoftmaxOfChosen) weights = softmax(weights);
    if (o.scoring == RouterScoring::kSigmoidOfChosen) {
      for (double& w : weights) w = 1 / (1 + std::exp(-w));
    }
    if (o.normalize) {
      const double sum = std::accumulate(weights.begin(), weights.end(), o.epsilon);
      for (double& w : weights) w /= sum;
    }
    for (std::size_t j = 0; j < chosen.size(); ++j) {
      call.out(0).i32[static_cast<std::size_t>(t * o.top_k) + j] = static_cast<std::int32_t>(chosen[j]);
      call.out(1).row(t)[j] = static_cast<float>(weights[j] * o.scale);
    }
  }
}

}  // namespace

RouterOptions router_options(const Attributes& a) {
  return {.top_k = static_cast<int>(integer(a, "top_k")),
          .scoring = static_cast<RouterScoring>(index_of(kScorings, attribute<std::string>(a, "scoring"))),
          .normalize = integer(a, "normalize") != 0,
          .epsilon = number(a, "epsilon"),
          .scale = number(a, "scale"),
          .n_group = static_cast<int>(integer(a, "n_group")),
          .topk_group = static_cast<int>(integer(a, "topk_group")),
          .group_score = static_cast<GroupScore>(index_of(kGroupScores, attribute<std::string>(a, "group_score")))};
}

constinit const Op kRouteExperts{.name = "route_experts", .infer = infer, .reference = reference};

Routing route_experts(Value logits, const RouterOptions& o, Value correction_bias) {
  if (!logits) throw GraphError("route_experts: the logits are empty");
  std::vector<Value> inputs = {logits};
  if (correction_bias) inputs.push_back(correction_bias);
  const auto outputs =
      logits.graph().record(kRouteExperts, inputs,
                            {{"top_k", std::int64_t{o.top_k}},
                             {"scoring", std::string(kScorings[static_cast<std::size_t>(o.scoring)])},
                             {"normalize", std::int64_t{o.normalize}},
                             {"epsilon", o.epsilon},
                             {"scale", o.scale},
                             {"n_group", std::int64_t{o.n_group}},
                             {"topk_group", std::int64_t{o.topk_group}},
                             {"group_score", std::string(kGroupScores[static_cast<std::size_t>(o.group_score)])}});
  return {outputs[0], outputs[1]};
}

}  // namespace tenon::graph
