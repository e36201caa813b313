// The ops of a mixture of experts, on values that can be checked by hand.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "graph/interpreter.h"
#include "graph/ops.h"
#include "graph/verify.h"

namespace tenon::graph {
namespace {

using testing::ElementsAre;
using testing::FloatNear;
using testing::HasSubstr;
using testing::Pointwise;

Tensor floats(std::vector<std::int64_t> dims, std::vector<float> values) {
  return {.dims = std::move(dims), .f32 = std::move(values)};
}
auto near(std::vector<float> values) { return Pointwise(FloatNear(1e-6f), values); }

class Experts : public testing::Test {
 protected:
  Value x(std::vector<Dim> dims) { return g.input("x", {DType::kF32, std::move(dims)}); }
  Value w(const std::string& name, std::vector<Dim> dims) {
    return g.weight(name, std::move(dims), WeightUse::kMatmul);
  }

  // The weight that one token gives to each expert.
  std::vector<float> weights_of(const RouterOptions& options, std::vector<float> logits, std::vector<float> bias = {}) {
    const auto n = static_cast<std::int64_t>(logits.size());
    Graph graph;
    const Value in = graph.input("x", {DType::kF32, {"t", n}});
    const Value correction = bias.empty() ? Value() : graph.constant(bias, {n});
    const Routing routing = route_experts(in, options, correction);
    // Expert e gives the unit vector e: the combination is the weight of each expert.
    std::vector<float> identity(static_cast<std::size_t>(n * n));
    for (std::int64_t e = 0; e < n; ++e) identity[static_cast<std::size_t>(e * n + e)] = 1;
    const Value one = graph.input("one", {DType::kF32, {"t", 1}});
    const Value y = expert_linear(one, routing.ids, graph.constant(identity, {n, n, 1}));
    graph.output("y", combine_experts(y, routing.weights));
    EXPECT_TRUE(verify(graph).has_value());
    return Interpreter(graph, {})
        .run({{"x", floats({1, n}, std::move(logits))}, {"one", floats({1, 1}, {1})}})
        .outputs.at("y")
        .f32;
  }
  std::string error(const std::function<void()>& f) {
    try {
      f();
    } catch (const GraphError& e) {
      return e.what();
    }
    return "no error";
  }
  Graph g;
};

const std::vector<float> kLogits = {std::log(1.0f), std::log(4.0f), std::log(2.0f), std::log(3.0f)};  // softmax: tenths

TEST_F(Experts, SoftmaxOfAllOrNormalizedOrOfTheChosen) {
  EXPECT_THAT(weights_of({.top_k = 2}, kLogits), near({0, 0.4f, 0, 0.3f}));
  EXPECT_THAT(weights_of({.top_k = 2, .normalize = true}, kLogits), near({0, 4.0f / 7, 0, 3.0f / 7}));
  EXPECT_THAT(weights_of({.top_k = 2, .scoring = RouterScoring::kSoftmaxOfChosen, .scale = 7}, kLogits),
              near({0, 4, 0, 3}));
}

TEST_F(Experts, SigmoidOfTheChosen) {
  // Chosen by the logits: 20 and 30 have the same sigmoid in float32.
  EXPECT_THAT(weights_of({.top_k = 1, .scoring = RouterScoring::kSigmoidOfChosen}, {20, 30, 0}), near({0, 1, 0}));
  EXPECT_THAT(weights_of({.top_k = 2, .scoring = RouterScoring::kSigmoidOfChosen}, {0, std::log(3.0f), -1}),
              near({0.5f, 0.75f, 0}));
}

TEST_F(Experts, WeightsBeforeOrAfter) {
  const Value y = x({"t", 2, 2}), weights = g.input("weights", {DType::kF32, {"t", 2}});
  g.output("scaled", scale_experts(y, weights));
  g.output("sum", combine_experts(y));
  const auto outputs =
      Interpreter(g, {}).run({{"x", floats({1, 2, 2}, {1, 2, 3, 4})}, {"weights", floats({1, 2}, {10, 100})}}).outputs;
  EXPECT_THAT(outputs.at("scaled").f32, ElementsAre(10, 20, 300, 400));
  EXPECT_THAT(outputs.at("sum").f32, ElementsAre(4, 6));
  EXPECT_THAT(error([&] { scale_experts(y, g.input("three", {DType::kF32, {"t", 3}})); }),
              HasSubstr("they must be [tokens, top_k, n]"));
}

TEST_F(Experts, OfEqualScoresTheLowerIndexWins) {
  EXPECT_THAT(weights_of({.top_k = 2}, {0, 0, 0, 0}), near({0.25f, 0.25f, 0, 0}));
  EXPECT_THAT(weights_of({.top_k = 1}, {0, 1, 1, 1}).at(2), 0);
}

TEST_F(Experts, TheCorrectionBiasChoosesButDoesNotWeigh) {
  const RouterOptions sigmoid{.top_k = 1, .scoring = RouterScoring::kSigmoidOfEach};
  EXPECT_THAT(weights_of(sigmoid, {0, 2, 1, 0}, {1, 0, 0, 0}), near({0.5f, 0, 0, 0}));
}

TEST_F(Experts, OnlyTheBestGroupsCount) {
  RouterOptions options{.top_k = 2, .n_group = 2, .topk_group = 1};
  const std::vector<float> logits = {std::log(1.0f), std::log(6.0f), std::log(4.0f), std::log(5.0f)};  // sixteenths
  EXPECT_THAT(weights_of(options, logits), near({1.0f / 16, 6.0f / 16, 0, 0}));
  options.group_score = GroupScore::kSumOfTwo;
  EXPECT_THAT(weights_of(options, logits), near({0, 0, 4.0f / 16, 5.0f / 16}));
}

TEST_F(Experts, EachRowMeetsItsOwnExperts) {
  const Value logits = x({"t", 2});
  const Routing routing = route_experts(logits, {.top_k = 2});
  EXPECT_EQ(to_string(routing.ids.type()), "i32[t, 2]");
  const Value y = expert_linear(logits, routing.ids, w("w", {2, 3, 2}), g.constant({0, 0, 1, 2, 2, 2}, {2, 3}));
  EXPECT_EQ(to_string(y.type()), "f32[t, 2, 3]");
  g.output("y", y);
  const auto weights = [](const std::string&) { return std::vector<float>{1, 0, 0, 1, 1, 1, -1, 0, 0, -1, -1, -1}; };
  const auto result = Interpreter(g, weights).run({{"x", floats({2, 2}, {5, 1, 2, 3})}}).outputs.at("y").f32;
  // Token 0 prefers expert 0, token 1 expert 1.
  EXPECT_THAT(result, ElementsAre(5, 1, 7, -3, 1, -4, 0, -1, -3, 2, 3, 6));
}

TEST_F(Experts, WhatContradictsIsRefused) {
  const Value logits = x({"t", 4});
  EXPECT_THAT(error([&] { route_experts(logits, {.top_k = 5}); }), HasSubstr("5 of 4 experts"));
  EXPECT_THAT(error([&] { route_experts(logits, {.top_k = 2, .n_group = 4, .topk_group = 1}); }),
              HasSubstr("1 of 4 groups of 4 experts do not hold 2"));
  EXPECT_THAT(error([&] { route_experts(logits, {.top_k = 1, .n_group = 3}); }), HasSubstr("groups"));
  const Routing routing = route_experts(logits, {.top_k = 2});
  EXPECT_THAT(error([&] { expert_linear(logits, routing.ids, w("e", {4, 8, 3})); }),
              HasSubstr("weight e is [4, 8, 3]"));
  EXPECT_THAT(error([&] { combine_experts(logits, routing.weights); }), HasSubstr("fewer than 3 dims"));
}

}  // namespace
}  // namespace tenon::graph
