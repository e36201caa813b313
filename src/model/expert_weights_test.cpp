// Experts in one tensor or in many, and what can be wrong with them.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <numeric>

#include "base/json.h"
#include "model/weight_map.h"

namespace tenon::model {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using Kind = Transform::Kind;

template <class T>
tensor::TensorView view(tensor::DType dtype, tensor::Shape shape, const std::vector<T>& data) {
  return {dtype, std::move(shape), reinterpret_cast<const std::byte*>(data.data())};
}

std::vector<float> values(const tensor::RowView& rows) {
  std::vector<float> out(static_cast<std::size_t>(rows.n * rows.k));
  for (std::int64_t i = 0; i < rows.n; ++i) {
    tensor::to_float(rows.dtype, rows.row(i), rows.k, out.data() + i * rows.k);
  }
  return out;
}

std::vector<float> transform(tensor::Shape shape, Transform how) {
  std::vector<float> data(static_cast<std::size_t>(tensor::elements(shape)));
  std::iota(data.begin(), data.end(), 0.0f);
  const auto rows = transformed(view(tensor::DType::kF32, std::move(shape), data), how, "w");
  EXPECT_TRUE(rows) << rows.error().message;
  return values(*rows);
}

TEST(ExpertRows, HalvesAlternatesAndTransposes) {
  EXPECT_THAT(transform({2, 4, 1}, Transform::half(0)), ElementsAre(0, 1, 4, 5));
  EXPECT_THAT(transform({2, 4, 1}, Transform::half(1)), ElementsAre(2, 3, 6, 7));
  EXPECT_THAT(transform({2, 4, 1}, Transform::of_experts(Kind::kAlternate, 1)), ElementsAre(1, 3, 5, 7));
  EXPECT_THAT(transform({2, 2, 2}, Transform::of_experts(Kind::kTranspose)), ElementsAre(0, 2, 1, 3, 4, 6, 5, 7));
  EXPECT_THAT(transform({1, 2, 4}, Transform::of_experts(Kind::kTransposeHalf, 1)), ElementsAre(2, 6, 3, 7));
  EXPECT_THAT(transform({1, 2, 4}, Transform::of_experts(Kind::kTransposeAlternate, 0)), ElementsAre(0, 4, 2, 6));
  EXPECT_THAT(transform({2, 4}, Transform::of_experts(Kind::kAlternateColumns, 1)), ElementsAre(1, 3, 5, 7));
  const std::vector<float> data(8);
  EXPECT_FALSE(transformed(view(tensor::DType::kF32, {8}, data), Transform::half(0), "w"));
}

TEST(HeadRows, TakesABlockOfEachHeadAndTransposes) {
  // Two heads of three rows: the first row of each, or the two others.
  EXPECT_THAT(transform({6, 2}, Transform::head_rows(3, 0, 1)), ElementsAre(0, 1, 6, 7));
  EXPECT_THAT(transform({6, 2}, Transform::head_rows(3, 1, 2)), ElementsAre(2, 3, 4, 5, 8, 9, 10, 11));
  EXPECT_THAT(transform({6, 2}, Transform::head_rows_transposed(3, 1, 2)), ElementsAre(2, 4, 3, 5, 8, 10, 9, 11));
  EXPECT_EQ(transformed_shape({6, 2}, Transform::head_rows(3, 1, 2)), (tensor::Shape{2, 2, 2}));
  EXPECT_EQ(transformed_shape({6, 4}, Transform::head_rows_transposed(3, 0, 1)), (tensor::Shape{2, 4, 1}));
  EXPECT_TRUE(transformed_shape({7, 4}, Transform::head_rows(3, 0, 1)).empty());
  const std::vector<float> data(14);
  EXPECT_FALSE(transformed(view(tensor::DType::kF32, {7, 2}, data), Transform::head_rows(3, 0, 1), "w"));
}

TEST(HeadRows, QuantizedRowsAreTransposedAsFloats) {
  std::vector<std::uint8_t> blocks(2 * 34);  // two rows of one Q8_0 block
  const std::uint16_t scale = tensor::to_f16(0.5f);
  for (std::size_t row = 0; row < 2; ++row) {
    std::copy_n(reinterpret_cast<const std::uint8_t*>(&scale), 2, blocks.data() + 34 * row);
    for (std::size_t i = 0; i < 32; ++i) blocks[34 * row + 2 + i] = static_cast<std::uint8_t>(i + 40 * row);
  }
  const auto how = Transform::head_rows_transposed(2, 0, 2);
  EXPECT_EQ(transformed_dtype(tensor::DType::kQ8_0, how), tensor::DType::kF32);
  const auto rows = transformed(view(tensor::DType::kQ8_0, {2, 32}, blocks), how, "w");
  ASSERT_TRUE(rows);
  EXPECT_EQ(rows->n, 32);
  const std::vector<float> x = values(*rows);
  EXPECT_EQ(x[2 * 7], 3.5f);
  EXPECT_EQ(x[2 * 7 + 1], 23.5f);
}

TEST(ConvTaps, BecomeRows) {
  EXPECT_THAT(transform({2, 1, 3}, Transform::conv_taps()), ElementsAre(0, 3, 1, 4, 2, 5));
  EXPECT_THAT(transform({2, 3}, Transform::conv_taps()), ElementsAre(0, 3, 1, 4, 2, 5));
  EXPECT_EQ(transformed_shape({2, 1, 3}, Transform::conv_taps()), (tensor::Shape{3, 2}));
  const std::vector<float> data(8);
  EXPECT_FALSE(transformed(view(tensor::DType::kF32, {2, 2, 2}, data), Transform::conv_taps(), "w"));
}

TEST(ExpertRows, Mxfp4BlocksAndScales) {
  std::vector<std::uint8_t> blocks(2 * 16), scales = {127, 120};  // two rows of one block
  for (std::size_t i = 0; i < 16; ++i) blocks[i] = static_cast<std::uint8_t>((2 * i) % 16 | ((2 * i + 1) % 16) << 4);
  blocks[16] = 0x95;  // 3, then -0.5
  const auto tensor = view(tensor::DType::kU8, {1, 2, 1, 16}, blocks);
  const auto scale = view(tensor::DType::kU8, {1, 2, 1}, scales);
  const auto rows = transformed(tensor, Transform::of_experts(Kind::kMxfp4), "w_blocks", &scale);
  ASSERT_TRUE(rows);
  EXPECT_EQ(rows->dtype, tensor::DType::kMXFP4);
  const float fp4[] = {0, 0.5f, 1, 1.5f, 2, 3, 4, 6};
  const std::vector<float> x = values(*rows);
  for (std::size_t i = 0; i < 32; ++i) EXPECT_EQ(x[i], (i % 16 < 8 ? 1 : -1) * fp4[i % 8]) << i;
  EXPECT_EQ(x[32], 3.0f / 128);
  EXPECT_EQ(x[33], -0.5f / 128);
  const auto second = transformed(tensor, Transform::of_experts(Kind::kMxfp4Alternate, 1), "w_blocks", &scale);
  ASSERT_TRUE(second);
  EXPECT_EQ(values(*second), std::vector<float>(x.begin() + 32, x.end()));
}

struct Fixture {
  graph::Graph graph;
  ModelConfig config;
  Json tensors = Json::object();
  WeightAdapter adapter{.rules = {{"e.{e}.w", "experts.w[{e}]"},
                                  {"both", "experts.w", Transform::half(0)},
                                  {"both", "experts.v", Transform::half(1)},
                                  {"q_blocks", "experts.w", Transform::of_experts(Kind::kMxfp4)},
                                  kSameNames}};
  Fixture() { graph.weight("experts.w", {2, 4, 32}, graph::WeightUse::kMatmul); }
  void add(const std::string& name, std::vector<int> shape, const char* dtype = "BF16") {
    tensors[name] = {{"dtype", dtype}, {"shape", shape}};
  }
  WeightMap map() {
    const auto checkpoint = weights::shapes_only(tensors);
    EXPECT_TRUE(checkpoint);
    return map_weights(graph, **checkpoint, adapter, config);
  }
};

TEST(ExpertWeights, ATensorEach) {
  Fixture f;
  f.add("e.1.w", {4, 32}), f.add("e.0.w", {4, 32});
  const WeightMap map = f.map();
  EXPECT_THAT(map.gaps, ElementsAre());
  EXPECT_EQ(map.bindings.at("experts.w").experts.at(1).file_name, "e.1.w");
  EXPECT_EQ(map.parameters, 2 * 4 * 32);
}

TEST(ExpertWeights, MissingStrangeAndMisshapen) {
  Fixture f;
  f.add("e.0.w", {4, 32});
  EXPECT_THAT(f.map().gaps, ElementsAre(HasSubstr("no tensor for expert 1 of experts.w")));
  f.add("e.1.w", {3, 32});
  EXPECT_THAT(f.map().gaps, ElementsAre(HasSubstr("e.1.w")));
  f.add("e.1.w", {4, 32}, "F32");
  EXPECT_THAT(f.map().gaps, ElementsAre(HasSubstr("must be stored alike")));
  f.add("e.1.w", {4, 32}), f.add("e.2.w", {4, 32});
  EXPECT_THAT(f.map().gaps, ElementsAre(HasSubstr("tensor e.2.w")));
}

TEST(ExpertWeights, OneTensorOfTwoWeights) {
  Fixture f;
  f.graph.weight("experts.v", {2, 4, 32}, graph::WeightUse::kMatmul);
  f.add("both", {2, 8, 32});
  EXPECT_THAT(f.map().gaps, ElementsAre());
  f.add("both", {2, 6, 32});
  EXPECT_EQ(f.map().gaps.size(), 2u);
}

TEST(ExpertWeights, BlocksWantTheirScales) {
  Fixture f;
  f.add("q_blocks", {2, 4, 1, 16}, "U8");
  EXPECT_THAT(f.map().gaps, ElementsAre(HasSubstr("no tensor q_scales")));
  f.add("q_scales", {2, 4, 2}, "U8");
  EXPECT_THAT(f.map().gaps, ElementsAre(HasSubstr("q_blocks needs U8[2, 4, 1]")));
  f.add("q_scales", {2, 4, 1}, "U8");
  EXPECT_THAT(f.map().gaps, ElementsAre());
}

}  // namespace
}  // namespace tenon::model
