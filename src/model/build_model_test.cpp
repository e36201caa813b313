#include "model/build_model.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <stdexcept>

#include "base/json.h"
#include "nn/attention.h"
#include "nn/layers.h"

namespace tenon::model {
namespace {

using testing::HasSubstr;

// Two layers of a cache; `build` is what a test says.
class Model final : public PipelineModel {
 public:
  using Build = void (*)(const BuildContext& context, const nn::RaggedBatch& batch, nn::Value x);
  static inline Build how = nullptr;

  std::vector<tensor::KvLayer> kv_parameters() const override { return {{2, 4, 4}, {2, 4, 4}}; }
  void build(const BuildContext& context) const override {
    const nn::Scope root(context.graph);
    const nn::RaggedBatch batch(context.graph);
    how(context, batch, nn::Embedding(root / "embed_tokens", 16, 8)(batch.token_ids));
  }
};

void append(const BuildContext& context, const nn::RaggedBatch& batch, nn::Value x, int layer, int module) {
  const nn::Scope scope = nn::Scope(context.graph) / "layers" / module;
  const auto entered = scope.enter();
  const nn::Value heads = graph::reshape(nn::Linear(scope / "k_proj", 8, 8)(x), {x.dim(0), 2, 4});
  graph::kv_append(heads, heads, layer, batch.positions, batch.row_offsets, batch.page_table);
}

Status built(Model::Build how, Task task = Task::kTextGeneration) {
  Model::how = how;
  const Architecture architecture{
      .name = "TestForCausalLM",
      .parse_config = nullptr,
      .make_model = [](std::shared_ptr<const ModelConfig>) -> std::unique_ptr<PipelineModel> {
        return std::make_unique<Model>();
      },
      .adapters = {}};
  graph::Graph graph;
  tensor::KvLayout layout;
  const auto model = build_model(architecture, std::make_shared<ModelConfig>(), 64, task, graph, layout);
  if (!model) return std::unexpected(model.error());
  EXPECT_EQ(layout.layers.size(), 2u);
  return {};
}

TEST(BuildModel, EachLayerOfTheCacheIsWrittenOnce) {
  EXPECT_TRUE(built([](const BuildContext& context, const nn::RaggedBatch& batch, nn::Value x) {
    append(context, batch, x, 0, 0), append(context, batch, x, 1, 1);
    context.graph.output("logits", batch.sampled(x));
  }));
  Status status = built([](const BuildContext& context, const nn::RaggedBatch& batch, nn::Value x) {
    append(context, batch, x, 0, 0), append(context, batch, x, 0, 1);
    context.graph.output("logits", batch.sampled(x));
  });
  EXPECT_EQ(status.error().message,
            "the graph of TestForCausalLM writes layer 0 of the KV cache twice, in "
            "layers.0 and in layers.1: each needs a layer of its own");
  status = built([](const BuildContext& context, const nn::RaggedBatch& batch, nn::Value x) {
    append(context, batch, x, 0, 0);
    context.graph.output("logits", batch.sampled(x));
  });
  EXPECT_THAT(status.error().message,
              HasSubstr("never writes layer 1 of the KV cache, of which kv_parameters() has 2"));
  status = built([](const BuildContext& context, const nn::RaggedBatch& batch, nn::Value x) {
    append(context, batch, x, 2, 5);
    context.graph.output("logits", batch.sampled(x));
  });
  EXPECT_THAT(status.error().message, HasSubstr("writes layer 2 of the KV cache in layers.5"));
}

TEST(BuildModel, OneOutputOfTheTasksName) {
  const auto hidden = [](const BuildContext& context, const nn::RaggedBatch& batch, nn::Value x) {
    append(context, batch, x, 0, 0), append(context, batch, x, 1, 1);
    context.graph.output("hidden_states", batch.sampled(x));
  };
  EXPECT_TRUE(built(hidden, Task::kEmbedding));
  EXPECT_THAT(built(hidden).error().message, HasSubstr("TestForCausalLM must have one output, \"logits\""));
  EXPECT_THAT(built([](const BuildContext&, const nn::RaggedBatch&, nn::Value) {}).error().message,
              HasSubstr("must have one output, \"logits\""));
}

TEST(BuildModel, WhatItThrowsNamesIt) {
  EXPECT_EQ(built([](const BuildContext&, const nn::RaggedBatch&, nn::Value) { throw std::runtime_error("boom"); })
                .error()
                .message,
            "the architecture TestForCausalLM threw an exception: boom");
  EXPECT_THAT(built([](const BuildContext&, const nn::RaggedBatch&, nn::Value) { throw 1; }).error().message,
              HasSubstr("threw an exception that is no std::exception"));
}

}  // namespace
}  // namespace tenon::model
