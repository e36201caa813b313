// Every op: its shape rule, and its reference on values that can be checked by hand.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "graph/copier.h"
#include "graph/interpreter.h"
#include "graph/ops.h"
#include "graph/ops/fused_linear.h"
#include "graph/ops/registry.h"
#include "graph/ops/relative_bucket.h"
#include "graph/ops/rowwise.h"
#include "graph/verify.h"

namespace tenon::graph {
namespace {

using testing::ElementsAre;
using testing::FloatNear;
using testing::HasSubstr;
using testing::Pointwise;

class Ops : public testing::Test {
 protected:
  Value x(std::vector<Dim> dims, const std::string& name = "x") {
    return g.input(name, {DType::kF32, std::move(dims)});
  }
  Value i(std::vector<Dim> dims, const std::string& name) { return g.input(name, {DType::kI32, std::move(dims)}); }
  Value w(std::vector<Dim> dims, const std::string& name = "w") {
    return g.weight(name, std::move(dims), WeightUse::kMatmul);
  }
  Value c(std::vector<float> data) {
    const auto n = static_cast<std::int64_t>(data.size());
    return g.constant(std::move(data), {n});
  }
  std::vector<float> run(Value y, const std::map<std::string, Tensor>& inputs,
                         const std::map<std::string, std::vector<float>>& weights = {}) {
    g.output("y", y);
    EXPECT_TRUE(verify(g).has_value());
    return Interpreter(g, [&](const std::string& name) { return weights.at(name); }).run(inputs).outputs.at("y").f32;
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

Tensor floats(std::vector<std::int64_t> dims, std::vector<float> values) {
  return {.dims = std::move(dims), .f32 = std::move(values)};
}
Tensor ints(std::vector<std::int64_t> dims, std::vector<std::int32_t> values) {
  return {.dims = std::move(dims), .i32 = std::move(values)};
}
auto near(std::vector<float> values) { return Pointwise(FloatNear(1e-6f), values); }

TEST_F(Ops, EveryOpIsRegisteredOnceAndPlainOrFused) {
  for (const Op* op : all_ops()) {
    EXPECT_EQ(find_op(op->name), op);
    EXPECT_NE(op->infer, nullptr) << op->name;
    EXPECT_NE(op->reference == nullptr, op->decompose == nullptr) << op->name;
  }
  EXPECT_EQ(find_op("conv"), nullptr);
}

TEST_F(Ops, LinearSaysWhichShapesContradict) {
  g.push_scope("model.layers.0.self_attn.q_proj");
  EXPECT_EQ(error([&] { linear(x({"total_tokens", 64}), w({48, 32}, "q_proj.weight")); }),
            "linear in model.layers.0.self_attn.q_proj: x is f32[total_tokens, 64], weight q_proj.weight is [48, 32]: "
            "64 != 32");
}

TEST_F(Ops, Linear) {
  const Value y = linear(x({"t", 2}), w({3, 2}));
  EXPECT_EQ(to_string(y.type()), "f32[t, 3]");
  EXPECT_THAT(run(y, {{"x", floats({2, 2}, {1, 2, 3, 4})}}, {{"w", {1, 0, 0, 1, 1, 1}}}),
              ElementsAre(1, 2, 3, 3, 4, 7));
}

TEST_F(Ops, Embedding) {
  const Value y = embedding(i({"t"}, "ids"), w({3, 2}));
  EXPECT_EQ(to_string(y.type()), "f32[t, 2]");
  EXPECT_THAT(run(y, {{"ids", ints({2}, {2, 0})}}, {{"w", {1, 2, 3, 4, 5, 6}}}), ElementsAre(5, 6, 1, 2));
  EXPECT_THAT(error([&] { embedding(x({"t"}), w({3, 2})); }), HasSubstr("ids is f32[t], not int32"));
}

TEST_F(Ops, ElementwiseOfTwo) {
  const Value a = x({"t", 2});
  EXPECT_THAT(run(a + a * c({10, 20}), {{"x", floats({2, 2}, {1, 2, 3, 4})}}), ElementsAre(11, 42, 33, 84));
}

TEST_F(Ops, ElementwiseShapesMustAgree) {
  EXPECT_THAT(error([&] { x({"t", 2}, "a") + x({"t", 3}, "b"); }), HasSubstr("a is f32[t, 2], b is f32[t, 3]"));
  EXPECT_THAT(error([&] { x({"t", 2}, "a") * c({1, 2, 3}); }), HasSubstr("mul: "));
  EXPECT_THAT(error([&] { c({1, 2}) * x({"t", 2}, "a"); }), HasSubstr("not equal"));
}

TEST_F(Ops, Activations) {
  const auto check = [](Value (*op)(Value), std::vector<float> expected) {
    Graph graph;
    const Value y = op(graph.input("x", {DType::kF32, {"t", 3}}));
    EXPECT_EQ(to_string(y.type()), "f32[t, 3]");
    graph.output("y", y);
    const auto results = Interpreter(graph, {}).run({{"x", floats({1, 3}, {-1, 0, 2})}});
    EXPECT_THAT(results.outputs.at("y").f32, near(std::move(expected)));
  };
  check(silu, {-0.26894143f, 0, 1.7615942f});
  check(gelu, {-0.15865526f, 0, 1.9544997f});
  check(gelu_tanh, {-0.15880801f, 0, 1.9545977f});
  check(sigmoid, {0.26894143f, 0.5f, 0.88079708f});
  check(tanh, {-0.76159416f, 0, 0.96402758f});
  check(relu, {0, 0, 2});
}

TEST_F(Ops, ScaleAndSoftcap) {
  EXPECT_THAT(run(softcap(x({"t", 2}) * 3.0, 5.0), {{"x", floats({1, 2}, {1, -10})}}),
              near({5 * std::tanh(0.6f), 5 * std::tanh(-6.0f)}));
  EXPECT_THAT(error([&] { softcap(x({"t", 2}), 0.0); }), HasSubstr("cap must be positive"));
}

TEST_F(Ops, RmsNorm) {
  const Value y = rms_norm(x({"t", 2}), w({2}), 1.0, 1.0);
  // mean(9 + 1) + 1 = 6
  EXPECT_THAT(run(y, {{"x", floats({1, 2}, {3, 1})}}, {{"w", {0, 1}}}),
              near({3 / std::sqrt(6.0f), 2 / std::sqrt(6.0f)}));
  EXPECT_THAT(error([&] { rms_norm(x({"t", 2}), w({3}, "norm.weight"), 1e-6); }),
              HasSubstr("weight norm.weight is [3]"));
}

TEST_F(Ops, LayerNorm) {
  const Value y = layer_norm(x({"t", 2}), 1.0, w({2}), w({2}, "b"));
  // mean 2, variance 1, and eps 1: (x - 2) / sqrt(2)
  EXPECT_THAT(run(y, {{"x", floats({1, 2}, {3, 1})}}, {{"w", {2, 4}}, {"b", {10, 20}}}),
              near({10 + 2 / std::sqrt(2.0f), 20 - 4 / std::sqrt(2.0f)}));
  EXPECT_THAT(error([&] { layer_norm(x({"t", 2}), -1.0); }), HasSubstr("eps must not be negative"));
  EXPECT_THAT(error([&] { layer_norm(x({"t", 2}), 1e-5, w({3}, "norm.weight")); }), HasSubstr("norm.weight is [3]"));
}

TEST_F(Ops, Clamp) {
  EXPECT_THAT(run(clamp(x({"t", 3}), -1.0, 2.0), {{"x", floats({1, 3}, {-5, 0.5, 7})}}), ElementsAre(-1, 0.5, 2));
  EXPECT_THAT(error([&] { clamp(x({"t", 3}), 2.0, 1.0); }), HasSubstr("min must not be more than max"));
}

TEST_F(Ops, Views) {
  const Value a = x({"t", 4});
  const Value b = concat({slice(a, 2, 4), slice(a, 0, 1)});
  const Value r = reshape(b, {"t", 3, 1});
  EXPECT_EQ(to_string(r.type()), "f32[t, 3, 1]");
  EXPECT_THAT(run(r, {{"x", floats({2, 4}, {1, 2, 3, 4, 5, 6, 7, 8})}}), ElementsAre(3, 4, 1, 7, 8, 5));
  EXPECT_THAT(error([&] { reshape(a, {"t", 3}); }), HasSubstr("x is f32[t, 4], which cannot become f32[t, 3]"));
  EXPECT_THAT(error([&] { reshape(a, {"rows", 4}); }), HasSubstr("cannot become"));
  EXPECT_THAT(error([&] { slice(a, 3, 5); }), HasSubstr("no columns 3 to 5"));
  EXPECT_THAT(error([&] { slice(a, 2, 2); }), HasSubstr("no columns 2 to 2"));
}

TEST_F(Ops, HeadLinearMultipliesEachHeadByItsOwnMatrix) {
  const Value a = reshape(x({"t", 4}), {"t", 2, 2});
  const Value y = head_linear(a, w({2, 3, 2}));
  EXPECT_EQ(to_string(y.type()), "f32[t, 2, 3]");
  EXPECT_THAT(run(y, {{"x", floats({1, 4}, {1, 2, 3, 4})}}, {{"w", {1, 0, 0, 1, 1, 1, 2, 0, 0, 2, 1, -1}}}),
              ElementsAre(1, 2, 3, 6, 8, -1));
  EXPECT_THAT(error([&] { head_linear(a, w({3, 3, 2}, "k_b_proj")); }), HasSubstr("k_b_proj is [3, 3, 2]: x must be"));
  EXPECT_THAT(error([&] { head_linear(a, w({2, 3, 4}, "v_b_proj")); }), HasSubstr("v_b_proj is [2, 3, 4]: x must be"));
}

TEST_F(Ops, PositionTemperatureGrowsInSteps) {
  const Value y = position_temperature(x({"t", 2}), i({"t"}, "positions"), 4.0, 0.5);
  const float one = 1 + 0.5f * std::log(2.0f), two = 1 + 0.5f * std::log(3.0f);
  EXPECT_THAT(run(y, {{"x", floats({3, 2}, {1, 2, 1, 2, 1, 2})}, {"positions", ints({3}, {2, 3, 7})}}),
              near({1, 2, one, 2 * one, two, 2 * two}));
  EXPECT_THAT(error([&] { position_temperature(x({"t", 2}), i({"t"}, "positions"), 0.0, 1.0); }),
              HasSubstr("floor_scale must be positive"));
}

TEST_F(Ops, ShortConvReadsTheTokensBefore) {
  const Value positions = i({"t"}, "positions"), offsets = i({"r1"}, "row_offsets");
  const Value pages = i({"r", "p"}, "page_table");
  const Value state = state_append(x({"t", 2}), 0, positions, offsets, pages);
  EXPECT_EQ(to_string(state.type()), "u8[kv_cache, 1, 0, 2]");
  const Value y = short_conv(state, w({3, 2}));
  // Two sequences of two tokens and one; no tap reaches from one into the other.
  EXPECT_THAT(run(y,
                  {{"x", floats({3, 2}, {1, 10, 2, 20, 3, 30})},
                   {"positions", ints({3}, {0, 1, 0})},
                   {"row_offsets", ints({3}, {0, 2, 3})},
                   {"page_table", ints({2, 1}, {4, 7})}},
                  {{"w", {100, 100, 5, 6, 1, 2}}}),
              ElementsAre(1, 20, 7, 100, 3, 60));
  EXPECT_THAT(error([&] { short_conv(state, w({3, 4}, "conv")); }), HasSubstr("the weight must be [taps, channels]"));
  EXPECT_THAT(error([&] { short_conv(x({"t", 2}), w({3, 2})); }), HasSubstr("not the result of state_append"));
  EXPECT_THAT(error([&] { state_append(slice(x({"t", 2}), 0, 1), 0, positions, offsets, pages); }),
              HasSubstr("an even number"));
}

TEST_F(Ops, GatherRows) {
  const Value y = gather_rows(x({"t", 2}), i({"r"}, "rows"));
  EXPECT_EQ(to_string(y.type()), "f32[r, 2]");
  EXPECT_THAT(run(y, {{"x", floats({3, 2}, {1, 2, 3, 4, 5, 6})}, {"rows", ints({1}, {2})}}), ElementsAre(5, 6));
}

TEST_F(Ops, RopeRotatesHalvesOrPairs) {
  const Value table = rope_table(i({"t"}, "positions"), {1.0}, 1.0);
  const Value a = reshape(x({"t", 6}), {"t", 2, 3});  // the third dim of each head is not rotated
  const auto inputs =
      std::map<std::string, Tensor>{{"positions", ints({1}, {2})}, {"x", floats({1, 6}, {1, 0, 9, 0, 1, 8})}};
  const float cos2 = std::cos(2.0f), sin2 = std::sin(2.0f);
  EXPECT_THAT(run(rope(a, table), inputs), near({cos2, sin2, 9, -sin2, cos2, 8}));
  EXPECT_THAT(error([&] { rope(a, rope_table(i({"t"}, "positions"), {1, 1})); }), HasSubstr("x is f32[t, 2, 3]"));
  EXPECT_THAT(error([&] { rope_table(i({"t"}, "positions"), {}); }), HasSubstr("no frequencies"));
}

TEST_F(Ops, RopeInterleaved) {
  const Value table = rope_table(i({"t"}, "positions"), {1.0, 0.5}, 2.0);
  const Value y = rope(reshape(x({"t", 4}), {"t", 1, 4}), table, true);
  const auto a = [](double angle) { return static_cast<float>(2 * std::cos(angle)); };
  const auto b = [](double angle) { return static_cast<float>(2 * std::sin(angle)); };
  EXPECT_THAT(run(y, {{"positions", ints({1}, {3})}, {"x", floats({1, 4}, {1, 0, 0, 1})}}),
              near({a(3), b(3), -b(1.5), a(1.5)}));
}

class Cache : public Ops {
 protected:
  Value kv(Value k, Value v) {
    return kv_append(k, v, 0, i({"t"}, "positions"), i({"rows_plus_1"}, "row_offsets"),
                     i({"rows", "pages"}, "page_table"));
  }
  std::map<std::string, Tensor> two_rows(std::vector<float> values) {
    return {{"positions", ints({3}, {0, 1, 0})},
            {"row_offsets", ints({3}, {0, 2, 3})},
            {"page_table", ints({2, 1}, {5, 3})},
            {"x", floats({3, 2}, std::move(values))}};
  }
};

TEST_F(Cache, AttentionIsCausalAndRowsAreApart) {
  const Value a = reshape(x({"t", 2}), {"t", 1, 2});
  const Value y = attention(a, kv(a, a), {.scale = 1.0});
  EXPECT_EQ(to_string(y.type()), "f32[t, 1, 2]");
  // Token 1 of row 0: scores q·k are 0 with token 0 and 1 with itself.
  const float near_one = 1 / (1 + std::exp(-1.0f));
  EXPECT_THAT(run(y, two_rows({2, 0, 0, 1, 7, 7})), near({2, 0, 2 * (1 - near_one), near_one, 7, 7}));
}

TEST_F(Cache, WindowSoftcapAndSinks) {
  const Value a = reshape(x({"t", 2}), {"t", 1, 2});
  const Value y = attention(a, kv(a, a), {.scale = 2.0, .softcap = 3.0, .window = 1}, c({1.0f}));
  // With a window of 1 each token sees itself and the sink.
  const auto share = [](double dot) {
    const double score = 3 * std::tanh(2 * dot / 3);
    return static_cast<float>(std::exp(score) / (std::exp(score) + std::exp(1.0)));
  };
  EXPECT_THAT(run(y, two_rows({2, 0, 0, 1, 1, 1})), near({2 * share(4), 0, 0, share(1), share(2), share(2)}));
}

TEST_F(Cache, GroupedHeadsShareAKeyHead) {
  const Value q = reshape(x({"t", 8}, "q"), {"t", 4, 2});
  const Value k = reshape(x({"t", 4}), {"t", 2, 2});
  const Value y = attention(q, kv(k, k), {});
  auto inputs = two_rows({});
  inputs["positions"] = ints({1}, {0}), inputs["row_offsets"] = ints({2}, {0, 1}),
  inputs["page_table"] = ints({1, 1}, {0});
  inputs["x"] = floats({1, 4}, {1, 2, 3, 4}), inputs["q"] = floats({1, 8}, {1, 1, 1, 1, 1, 1, 1, 1});
  EXPECT_THAT(run(y, inputs), near({1, 2, 1, 2, 3, 4, 3, 4}));
}

TEST_F(Cache, BothDirections) {
  const Value k = reshape(x({"t", 2}), {"t", 1, 2});
  const Value y = attention(k, kv(k, k), {.causal = false});
  auto inputs = two_rows({});
  inputs["positions"] = ints({2}, {0, 1}), inputs["row_offsets"] = ints({2}, {0, 2});
  inputs["page_table"] = ints({1, 1}, {0}), inputs["x"] = floats({2, 2}, {1, 0, 0, 1});
  // Each token scores 1 for itself and 0 for the other.
  const float own = std::exp(1.0f) / (std::exp(1.0f) + 1.0f);
  EXPECT_THAT(run(y, inputs), near({own, 1 - own, 1 - own, own}));
  EXPECT_THAT(error([&] { attention(k, kv(k, k), {.window = 2, .causal = false}); }),
              HasSubstr("causal attention only"));
}

// Where transformers changes the bucket (MPNetEncoder.relative_position_bucket over -600 … 600).
TEST(RelativeBucket, BordersAreThoseOfTheReference) {
  const std::vector<std::pair<std::int64_t, std::int64_t>> borders = {
      {-600, 15}, {-90, 14}, {-63, 13}, {-45, 12}, {-31, 11}, {-22, 10}, {-15, 9}, {-11, 8},
      {-7, 7},    {-6, 6},   {-5, 5},   {-4, 4},   {-3, 3},   {-2, 2},   {-1, 1},  {0, 0},
      {1, 17},    {2, 18},   {3, 19},   {4, 20},   {5, 21},   {6, 22},   {7, 23},  {8, 24},
      {12, 25},   {16, 26},  {23, 27},  {32, 28},  {46, 29},  {64, 30},  {91, 31}, {601, -1}};
  for (std::size_t i = 0; i + 1 < borders.size(); ++i) {
    for (std::int64_t d = borders[i].first; d < borders[i + 1].first; ++d) {
      ASSERT_EQ(relative_bucket(d, 32, 128), borders[i].second) << d;
    }
  }
}

TEST_F(Cache, ARelativeBiasIsAddedToTheScores) {
  const Value k = reshape(x({"t", 4}), {"t", 2, 2});
  const Value y = attention(k, kv(k, k), {.scale = 0.0, .causal = false}, {}, {.table = w({4, 2}), .max_distance = 8});
  auto inputs = two_rows({});
  inputs["positions"] = ints({2}, {0, 1}), inputs["row_offsets"] = ints({2}, {0, 2});
  inputs["page_table"] = ints({1, 1}, {0}), inputs["x"] = floats({2, 4}, {1, 0, 1, 0, 0, 1, 0, 1});
  // Buckets: 0 for itself, 1 for the key before, 3 for the key after; a column for each head.
  const std::vector<float> table = {1, 0, 3, 0, 99, 99, 2, 5};
  const auto share = [](double mine, double other) {
    return static_cast<float>(std::exp(mine) / (std::exp(mine) + std::exp(other)));
  };
  EXPECT_THAT(run(y, inputs, {{"w", table}}),
              near({share(1, 2), share(2, 1), share(0, 5), share(5, 0), share(3, 1), share(1, 3), 0.5f, 0.5f}));
  EXPECT_THAT(error([&] { attention(k, kv(k, k), {.causal = false}, {}, {.table = w({4, 3}, "w2")}); }),
              HasSubstr("not [a multiple of 4, heads]"));
  EXPECT_THAT(error([&] { attention(k, kv(k, k), {}, {}, {.table = w({4, 2})}); }), HasSubstr("in both directions"));
}

TEST_F(Ops, EmbeddingFromARowOn) {
  const Value y = embedding(i({"t"}, "ids"), w({4, 2}), 2);
  EXPECT_THAT(run(y, {{"ids", ints({2}, {1, 0})}}, {{"w", {1, 2, 3, 4, 5, 6, 7, 8}}}), ElementsAre(7, 8, 5, 6));
  EXPECT_THAT(error([&] { embedding(i({"t"}, "ids"), w({4, 2}), 4); }), HasSubstr("has no row 4"));
}

TEST_F(Ops, EmbeddingRow) {
  const Value y = embedding_row(i({"t"}, "ids"), w({2, 2}), 1);
  EXPECT_THAT(run(y, {{"ids", ints({3}, {7, 8, 9})}}, {{"w", {1, 2, 3, 4}}}), ElementsAre(3, 4, 3, 4, 3, 4));
  EXPECT_THAT(error([&] { embedding_row(i({"t"}, "ids"), w({2, 2}), 2); }), HasSubstr("has no row 2"));
}

TEST_F(Cache, ShapesAreChecked) {
  const Value k = reshape(x({"t", 4}), {"t", 2, 2});
  EXPECT_THAT(error([&] { attention(reshape(x({"t", 6}, "q"), {"t", 3, 2}), kv(k, k), {}); }),
              HasSubstr("q must be [tokens, a multiple of 2, 2]"));
  EXPECT_THAT(error([&] { attention(k, k, {}); }), HasSubstr("not the result of kv_append"));
  EXPECT_THAT(error([&] { kv(k, reshape(x({"t", 4}), {"t", 1, 4})); }), HasSubstr("k and v must be"));
  EXPECT_THAT(error([&] { kv(reshape(x({"t", 4}), {"t", 4, 1}), reshape(x({"t", 4}), {"t", 4, 1})); }),
              HasSubstr("head dims must be even"));
}

TEST_F(Ops, FusedLinearIsItsParts) {
  const Value a = x({"t", 2});
  const Value y = fused_linear({.x = a,
                                .weights = {w({1, 2}, "a"), w({2, 2}, "b")},
                                .biases = {c({1}), c({2, 3})},
                                .residual = x({"t", 3}, "r"),
                                .epilogue = LinearEpilogue::kAdd});
  EXPECT_THAT(run(y, {{"x", floats({1, 2}, {1, 2})}, {"r", floats({1, 3}, {100, 200, 300})}},
                  {{"a", {1, 1}}, {"b", {1, 0, 0, 1}}}),
              ElementsAre(104, 203, 305));
  EXPECT_THAT(
      error([&] {
        fused_linear({.x = a, .weights = {w({1, 2}, "a"), w({2, 2}, "b")}, .epilogue = LinearEpilogue::kSiluMul});
      }),
      HasSubstr("two weights of one shape"));
}

TEST_F(Ops, RowwiseIsItsChain) {
  const std::vector<RowInstruction> program = {{"rms_norm", 1, {1e-6, 0}}, {"scale", -1, {0.1}}, {"add", 2, {}}};
  const Value a = x({"t", 2});
  const Value y = rowwise({a, c({1, 2}), a}, program);
  EXPECT_EQ(attribute<std::string>(g.nodes().back().attributes, "program"), "rms_norm %1 1e-06 0; scale 0.1; add %2");
  EXPECT_THAT(run(y, {{"x", floats({1, 2}, {3, 3})}}), near({3.1f, 3.2f}));
}

TEST_F(Ops, ValuesOfAnotherGraphOrNoneAreRefused) {
  Graph other;
  EXPECT_THAT(error([&] { add(x({"t", 2}), other.input("x", {DType::kF32, {"t", 2}})); }), HasSubstr("another graph"));
  EXPECT_THAT(error([&] { add(x({"t", 2}), Value()); }), HasSubstr("input 1 is empty"));
  EXPECT_THAT(error([&] { silu(Value()); }), HasSubstr("empty"));
  EXPECT_THAT(error([&] {
                w({2, 2});
                w({2, 3});
              }),
              HasSubstr("weight w is used as f32[2, 2] and as f32[2, 3]"));
}

TEST_F(Ops, TiedWeightsAreOneValueWithTwoUses) {
  const Value a = g.weight("embed", {4, 2}, WeightUse::kEmbedding);
  const Value b = g.weight("embed", {4, 2}, WeightUse::kMatmul);
  EXPECT_EQ(a.id(), b.id());
  EXPECT_THAT(g.weights().at(0).uses, ElementsAre(WeightUse::kEmbedding, WeightUse::kMatmul));
}

TEST_F(Ops, TextIr) {
  g.push_scope("model.norm");
  const Value y = rms_norm(x({"total_tokens", 2}), w({2}, "model.norm.weight"), 1e-6);
  g.pop_scope();
  g.tap("model.norm", y);
  g.output("logits", silu(y));
  EXPECT_EQ(to_text(g),
            "%0: f32[total_tokens, 2] = rms_norm($x, @model.norm.weight) {eps=1e-06, weight_offset=0}  ; model.norm\n"
            "%1: f32[total_tokens, 2] = silu(%0)\n"
            "tap model.norm = %0\n"
            "output logits = %1\n");
}

TEST_F(Ops, DeadNodesAreLeftOut) {
  const Value a = x({"t", 2});
  silu(a);
  g.output("y", relu(a));
  EXPECT_EQ(to_text(*without_dead_nodes(g)), "%0: f32[t, 2] = relu($x)\noutput y = %0\n");
}

TEST(Verify, FindsAGraphWithoutOutput) {
  Graph g;
  EXPECT_FALSE(verify(g).has_value());
}

}  // namespace
}  // namespace tenon::graph
