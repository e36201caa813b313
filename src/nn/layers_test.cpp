#include "nn/layers.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "graph/interpreter.h"
#include "graph/ops.h"
#include "nn/attention.h"
#include "tensor/batch_layout.h"

namespace tenon::nn {
namespace {

TEST(Scope, NamesAreThoseOfTheCheckpoint) {
  Graph graph;
  const Scope root(graph);
  EXPECT_EQ((root / "model.layers.0" / "mlp").name(), "model.layers.0.mlp");
  EXPECT_EQ((root / "model" / "layers" / 7).name(), "model.layers.7");
  const Linear linear(root / "model" / "q_proj", 4, 6, true);
  ASSERT_EQ(graph.weights().size(), 2u);
  EXPECT_EQ(graph.weights()[0].name, "model.q_proj.weight");
  EXPECT_EQ(graph::to_string(graph.weights()[0].type), "f32[6, 4]");
  EXPECT_EQ(graph.weights()[1].name, "model.q_proj.bias");
}

TEST(Scope, AWeightIsAskedForOnceForEachUse) {
  Graph graph;
  const Scope w = Scope(graph) / "model";
  const Embedding embed(w / "embed_tokens", 10, 8);
  const Linear lm_head(w / "embed_tokens", 8, 10);  // tied
  EXPECT_EQ(graph.weights().size(), 1u);
  try {
    const Linear again(w / "embed_tokens", 8, 10);
    FAIL() << "taken twice";
  } catch (const graph::GraphError& error) {
    EXPECT_NE(std::string(error.what()).find("weight model.embed_tokens.weight is asked for twice"), std::string::npos);
  }
}

TEST(Layers, NoteTheirModuleInTheGraph) {
  Graph graph;
  const Scope w = Scope(graph) / "model";
  const RaggedBatch batch(graph);
  const Embedding embed(w / "embed_tokens", 10, 8);
  const GatedMlp mlp(w / "mlp", 8, 12, find_activation("silu"));
  {
    const auto entered = w.enter();
    (void)mlp(RmsNorm(w / "norm", 8, 1e-6)(embed(batch.token_ids)));
  }
  const auto has_scope = [&](const char* scope) {
    return std::ranges::any_of(graph.nodes(), [&](const graph::Node& node) { return node.scope == scope; });
  };
  EXPECT_TRUE(has_scope("model.embed_tokens"));
  EXPECT_TRUE(has_scope("model.norm"));
  EXPECT_TRUE(has_scope("model.mlp"));
  EXPECT_TRUE(has_scope("model.mlp.gate_proj"));
  ASSERT_EQ(graph.taps().size(), 1u);
  EXPECT_EQ(graph.taps()[0].first, "model.mlp");
}

TEST(Layers, ShapesThatContradictAreGraphErrorsThatNameTheModule) {
  Graph graph;
  const Scope w = Scope(graph) / "model.layers.3.mlp";
  const RaggedBatch batch(graph);
  const Value x = Embedding(Scope(graph) / "embed", 10, 8)(batch.token_ids);
  try {
    (void)Linear(w / "up_proj", 9, 12)(x);
    FAIL() << "expected a GraphError";
  } catch (const graph::GraphError& error) {
    EXPECT_NE(std::string(error.what()).find("model.layers.3.mlp.up_proj"), std::string::npos) << error.what();
  }
}

TEST(RaggedBatch, DeclaresTheWholeTable) {
  Graph graph;
  const RaggedBatch batch(graph);
  std::size_t inputs = 0;
  for (const auto& value : graph.values()) inputs += value.source == graph::Source::kInput;
  EXPECT_EQ(inputs, tensor::kBatchInputs.size());
  EXPECT_EQ(graph::to_string(batch.page_table.type()), "i32[rows, max_pages]");
}

TEST(Activations, ByTransformersNames) {
  EXPECT_EQ(find_activation("gelu_9000"), nullptr);
  const auto apply = [](const char* name, float x) {
    Graph graph;
    const RaggedBatch batch(graph);
    const Activation activation = find_activation(name);
    graph.output("y", activation(Embedding(Scope(graph) / "e", 1, 1)(batch.token_ids)));
    graph::Interpreter interpreter(graph, [&](const std::string&) { return std::vector<float>{x}; });
    const std::int32_t zero = 0, offsets[] = {0, 1};
    const tensor::Batch one{.token_ids = {&zero, 1},
                            .positions = {&zero, 1},
                            .row_offsets = offsets,
                            .page_table = {&zero, 1},
                            .max_pages = 1,
                            .logit_rows = {&zero, 1}};
    return interpreter.run(graph::batch_inputs(one)).outputs.at("y").f32.at(0);
  };
  const double x = 0.7;
  EXPECT_NEAR(apply("silu", 0.7f), x / (1 + std::exp(-x)), 1e-6);
  EXPECT_NEAR(apply("gelu", 0.7f), x * 0.5 * (1 + std::erf(x / std::sqrt(2.0))), 1e-6);
  EXPECT_NEAR(apply("gelu_pytorch_tanh", 0.7f),
              0.5 * x * (1 + std::tanh(std::sqrt(2 / 3.14159265358979) * (x + 0.044715 * x * x * x))), 1e-6);
  EXPECT_NEAR(apply("quick_gelu", 0.7f), x / (1 + std::exp(-1.702 * x)), 1e-6);
  EXPECT_NEAR(apply("relu2", 0.7f), x * x, 1e-6);
  EXPECT_EQ(apply("relu", -0.7f), 0.0f);
}

}  // namespace
}  // namespace tenon::nn
