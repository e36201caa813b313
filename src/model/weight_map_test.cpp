#include "model/weight_map.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/json.h"
#include "model/registry.h"

namespace tenon::model {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(Patterns, MatchAndSubstitute) {
  EXPECT_EQ(match("a.{i}.b", "a.12.b"), (std::vector<std::string>{"12"}));
  EXPECT_EQ(match("a.{i}.b.{j}", "a.0.b.3"), (std::vector<std::string>{"0", "3"}));
  EXPECT_EQ(match("a.*", "a.b.c"), (std::vector<std::string>{"b.c"}));
  EXPECT_EQ(match("*.w", "x.w.w"), (std::vector<std::string>{"x.w"}));
  EXPECT_FALSE(match("a.{i}.b", "a.x.b"));
  EXPECT_FALSE(match("a.{i}.b", "a..b"));
  EXPECT_FALSE(match("a.{i}", "a.1.b"));
  EXPECT_FALSE(match("abc", "ab"));
  EXPECT_EQ(substitute("m.{i}.q.*", {"4", "bias"}), "m.4.q.bias");
}

template <class T>
tensor::TensorView view(tensor::DType dtype, tensor::Shape shape, const std::vector<T>& data) {
  return {dtype, std::move(shape), reinterpret_cast<const std::byte*>(data.data())};
}

TEST(Transforms, UnpermuteRopeIsTheInverseOfLlamaCppsConverter) {
  // Two heads of 6: the converter stores row (half, j) of a head at (j, half).
  const int heads = 2, head_dim = 6;
  std::vector<float> stored(heads * head_dim);
  for (int h = 0; h < heads; ++h) {
    for (int half = 0; half < 2; ++half) {
      for (int j = 0; j < head_dim / 2; ++j) {
        stored[static_cast<std::size_t>(h * head_dim + 2 * j + half)] = static_cast<float>(h * head_dim + half * 3 + j);
      }
    }
  }
  const auto rows =
      transformed(view(tensor::DType::kF32, {12, 1}, stored), Transform::unpermute_rope(head_dim), "q").value();
  const auto vector =
      transformed(view(tensor::DType::kF32, {12}, stored), Transform::unpermute_rope(head_dim), "b").value();
  EXPECT_EQ(rows.n, 12);
  EXPECT_EQ(vector.n, 1);
  for (int i = 0; i < 12; ++i) {
    EXPECT_EQ(*reinterpret_cast<const float*>(rows.row(i)), static_cast<float>(i));
    EXPECT_EQ(reinterpret_cast<const float*>(vector.row(0))[i], static_cast<float>(i));
  }
  EXPECT_THAT(
      transformed(view(tensor::DType::kF32, {12, 1}, stored), Transform::unpermute_rope(8), "q").error().message,
      HasSubstr("no multiple of head_dim 8"));
}

TEST(Transforms, ByHeadIsTheInverseOfLlamaCppsFusedQkv) {
  // Row i of part p of head h is 100 h + 10 p + i; the file has all of part 0 first.
  const int heads = 2, parts = 3, head_dim = 2;
  std::vector<float> stored, meant;
  for (int p = 0; p < parts; ++p) {
    for (int h = 0; h < heads; ++h) {
      for (int i = 0; i < head_dim; ++i) stored.push_back(static_cast<float>(100 * h + 10 * p + i));
    }
  }
  for (int h = 0; h < heads; ++h) {
    for (int p = 0; p < parts; ++p) {
      for (int i = 0; i < head_dim; ++i) meant.push_back(static_cast<float>(100 * h + 10 * p + i));
    }
  }
  const Transform by_head = Transform::by_head(parts, head_dim);
  const auto rows = transformed(view(tensor::DType::kF32, {12, 1}, stored), by_head, "qkv").value();
  const auto vector = transformed(view(tensor::DType::kF32, {12}, stored), by_head, "b").value();
  for (int i = 0; i < 12; ++i) {
    EXPECT_EQ(*reinterpret_cast<const float*>(rows.row(i)), meant[static_cast<std::size_t>(i)]);
    EXPECT_EQ(reinterpret_cast<const float*>(vector.row(0))[i], meant[static_cast<std::size_t>(i)]);
  }
  EXPECT_THAT(transformed(view(tensor::DType::kF32, {8, 1}, stored), by_head, "qkv").error().message,
              HasSubstr("no multiple of 3 times head_dim 2"));
}

TEST(Transforms, FlattenMakesOneVector) {
  const std::vector<float> stored = {1, 2, 3, 4, 5, 6};
  const auto tensor = view(tensor::DType::kF32, {3, 2}, stored);
  const auto row = transformed(tensor, Transform::flatten(2), "norm").value();
  EXPECT_EQ(row.n, 1);
  ASSERT_EQ(row.k, 6);
  for (int i = 0; i < 6; ++i) EXPECT_EQ(reinterpret_cast<const float*>(row.row(0))[i], static_cast<float>(i + 1));
  EXPECT_EQ(transformed_shape({3, 2}, Transform::flatten(2)), (tensor::Shape{6}));
  EXPECT_EQ(transformed_shape({2, 3}, Transform::flatten(2)), tensor::Shape{});  // heads of another size
}

TEST(Transforms, AddWidensToFloat) {
  const std::vector<std::uint16_t> bf16 = {tensor::to_bf16(1.5f), tensor::to_bf16(0.25f)};
  const auto row = transformed(view(tensor::DType::kBF16, {2}, bf16), Transform::add(-1.0f), "norm").value();
  EXPECT_EQ(row.dtype, tensor::DType::kF32);
  EXPECT_EQ(reinterpret_cast<const float*>(row.row(0))[0], 0.5f);
  EXPECT_EQ(reinterpret_cast<const float*>(row.row(0))[1], -0.75f);
}

// A Llama of one layer, as a graph, a config and the checkpoint that fits it.
struct Fixture {
  Json json = Json::parse(R"({"vocab_size": 128, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 1,
    "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8})");
  std::shared_ptr<const ModelConfig> config;
  graph::Graph graph;
  Json tensors = Json::object();
  const Architecture& llama = *find_architecture("LlamaForCausalLM", nullptr)->architecture;

  explicit Fixture(int hidden_size = 64) {
    json["hidden_size"] = hidden_size;
    if (hidden_size != 64) json["intermediate_size"] = 2 * hidden_size;
    config = parse_config(llama, json).value();
    const auto model = llama.make_model(config);
    const tensor::KvLayout layout{tensor::DType::kF32, model->kv_parameters()};
    model->build({graph, layout, 64});
    for (const auto& request : graph.weights()) {
      Json shape = Json::array();
      for (const graph::Dim& dim : request.type.dims) shape.push_back(dim.size());
      tensors[request.name] = {{"dtype", "BF16"}, {"shape", shape}};
    }
  }
  WeightMap map() {
    const auto checkpoint = weights::shapes_only(tensors);
    EXPECT_TRUE(checkpoint) << checkpoint.error().message;
    return map_weights(graph, **checkpoint, adapter_of(llama, Format::kSafetensors, *config).value(), *config);
  }
};

TEST(WeightMap, FitsAndCounts) {
  Fixture f;
  EXPECT_EQ(f.graph.weights().size(), 12u);
  const WeightMap map = f.map();
  EXPECT_THAT(map.gaps, ElementsAre());
  EXPECT_EQ(map.bindings.size(), 12u);
  EXPECT_EQ(map.parameters, 2 * 128 * 64 + 64 * 32 * 2 + 64 * 16 * 2 + 3 * 64 * 96 + 3 * 64);
  EXPECT_TRUE(check(map));
}

TEST(WeightMap, AMissingTensorAsksWhetherYouMeantTheUnusedOne) {
  Fixture f;
  f.tensors["model.layers.0.mlp.gate_projection.weight"] = f.tensors["model.layers.0.mlp.gate_proj.weight"];
  f.tensors.erase("model.layers.0.mlp.gate_proj.weight");
  EXPECT_THAT(f.map().gaps,
              ElementsAre(testing::AllOf(HasSubstr("no tensor model.layers.0.mlp.gate_proj.weight"),
                                         HasSubstr("did you mean its model.layers.0.mlp.gate_projection.weight?")),
                          testing::AllOf(HasSubstr("gate_projection.weight"), HasSubstr("not used"),
                                         HasSubstr("did you mean model.layers.0.mlp.gate_proj.weight?"))));
  EXPECT_THAT(check(f.map()).error().message, HasSubstr("and 1 more such problem"));
}

TEST(WeightMap, TensorsOfGgufAreNamedAsItsFileNamesThem) {
  Fixture f;
  Json tensors = Json::object();
  for (const auto& [ours, type] : f.tensors.items()) {
    if (ours != "model.norm.weight" && ours != "model.layers.0.mlp.gate_proj.weight") continue;
    tensors[ours == "model.norm.weight" ? "output_norm.weight" : "blk.0.ffn_gates.weight"] = type;
  }
  const auto checkpoint = weights::shapes_only(tensors);
  const auto adapter = adapter_of(f.llama, Format::kGguf, *f.config).value();
  EXPECT_THAT(map_weights(f.graph, **checkpoint, adapter, *f.config).gaps,
              testing::AllOf(testing::Contains(HasSubstr("no tensor blk.0.ffn_gate.weight "
                                                         "(model.layers.0.mlp.gate_proj.weight) [96, 64]; did you mean "
                                                         "its blk.0.ffn_gates.weight?")),
                             testing::Contains(testing::AllOf(HasSubstr("tensor blk.0.ffn_gates.weight"),
                                                              HasSubstr("did you mean blk.0.ffn_gate.weight?")))));
}

TEST(WeightMap, AnUnusedTensorIsAnErrorUnlessItIsListed) {
  Fixture f;
  f.tensors["model.layers.0.self_attn.rotary_emb.inv_freq"] = {{"dtype", "F32"}, {"shape", {4}}};
  EXPECT_THAT(f.map().gaps, ElementsAre());
  EXPECT_THAT(f.map().ignored, ElementsAre("model.layers.0.self_attn.rotary_emb.inv_freq"));
  f.tensors["model.layers.0.self_attn.q_proj.bias"] = {{"dtype", "F32"}, {"shape", {32}}};
  EXPECT_THAT(f.map().gaps, ElementsAre(HasSubstr("tensor model.layers.0.self_attn.q_proj.bias is not used ")));
}

TEST(WeightMap, AShapeThatContradictsNamesTheHeads) {
  Fixture f;
  f.tensors["model.layers.0.self_attn.k_proj.weight"]["shape"] = {32, 64};
  EXPECT_THAT(f.map().gaps, ElementsAre(testing::AllOf(HasSubstr("k_proj.weight"), HasSubstr("has the shape [32, 64]"),
                                                       HasSubstr("[16, 64]"),
                                                       HasSubstr("16 is num_key_value_heads 2 × head_dim 8"))));
}

// The same with rows of 128, and one matrix of F8_E4M3 with its scales.
struct Fp8Fixture : Fixture {
  const std::string name = "model.layers.0.mlp.down_proj.weight";
  Fp8Fixture() : Fixture(128) {
    tensors[name]["dtype"] = "F8_E4M3";
    tensors[name + "_scale_inv"] = {{"dtype", "F32"}, {"shape", {1, 2}}};
  }
};

TEST(WeightMap, MatricesOfFp8HaveTheirScalesBesideThem) {
  Fp8Fixture f;
  const WeightMap map = f.map();
  EXPECT_THAT(map.gaps, ElementsAre());
  EXPECT_EQ(map.bindings.at(f.name).held(), tensor::DType::kFP8);
  EXPECT_EQ(map.bindings.at("model.norm.weight").held(), tensor::DType::kBF16);

  f.tensors[f.name + "_scale_inv"]["shape"] = {2, 2};
  EXPECT_THAT(f.map().gaps[0], testing::AllOf(HasSubstr("down_proj.weight_scale_inv is F32[2, 2]"),
                                              HasSubstr("needs floats of [1, 2], one for each 128 x 128")));
  f.tensors[f.name + "_scale_inv"] = {{"dtype", "U8"}, {"shape", {1, 2}}};
  EXPECT_THAT(f.map().gaps[0], HasSubstr("down_proj.weight_scale_inv is U8[1, 2]"));
  f.tensors.erase(f.name + "_scale_inv");
  EXPECT_THAT(f.map().gaps, ElementsAre(HasSubstr("down_proj.weight is F8_E4M3, with which Tenon cannot compute")));
  // Scales of a matrix that is no FP8 are a tensor like any other.
  f.tensors[f.name]["dtype"] = "BF16";
  f.tensors[f.name + "_scale_inv"] = {{"dtype", "F32"}, {"shape", {1, 2}}};
  EXPECT_THAT(f.map().gaps, ElementsAre(HasSubstr("down_proj.weight_scale_inv is not used ")));
}

TEST(WeightMap, RowsOfFp8AreWholeBlocks) {
  Fixture f;
  f.tensors["model.layers.0.self_attn.q_proj.weight"]["dtype"] = "F8_E4M3";
  f.tensors["model.layers.0.self_attn.q_proj.weight_scale_inv"] = {{"dtype", "F32"}, {"shape", {1, 1}}};
  EXPECT_THAT(f.map().gaps[0], HasSubstr("whose rows are multiples of 128 only"));
}

TEST(WeightMap, DtypesThatCannotBeComputedAreRefusedByName) {
  Fixture f;
  f.tensors["model.norm.weight"]["dtype"] = "F8_E4M3";
  EXPECT_THAT(f.map().gaps, ElementsAre(HasSubstr("tensor model.norm.weight is F8_E4M3")));
}

}  // namespace
}  // namespace tenon::model
