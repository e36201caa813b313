// Compiled models against the interpreter, and against themselves: other passes, batches, chunks and threads.
#include "compiler/compile.h"
#include "compiler/pipeline.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "compiler/passes/pass.h"
#include "compiler/test_model.h"
#include "tensor/dtype_test.h"

namespace tenon::compiler {
namespace {

using graph::Graph;
using tensor::DType;
using test::Config;
using test::OwnedBatch;
using testing::HasSubstr;

constexpr int kSequences = 8, kMaxPages = 4;

CompileOptions options_for(const Config& config, DType dtype) {
  CompileOptions options;
  options.limits = {
      .max_total_tokens = 200, .max_rows = kSequences, .max_sampled_rows = 200, .max_pages_per_row = kMaxPages};
  options.float_dtype = dtype == DType::kF32 ? DType::kF32 : DType::kBF16;
  // Activations of 8 bits choose experts by scores that are close: a bfloat16 cache, for which kernels round what the
  // interpreter does not, would choose others.
  const bool routes = tensor::info(dtype).quantized && config.router.top_k < config.experts;
  options.kv_layout.dtype = routes ? DType::kF32 : options.float_dtype;
  tensor::KvLayer kv{.num_kv_heads = config.kv_heads, .key_dim = config.head_dim, .value_dim = config.head_dim};
  if (config.latent > 0) kv = {1, config.latent + config.head_dim / 2, config.latent};
  options.kv_layout.layers.assign(static_cast<std::size_t>(config.layers), kv);
  for (std::size_t i = 0; config.taps > 0 && i < options.kv_layout.layers.size(); i += 2) {
    options.kv_layout.layers[i] = {1, 0, config.hidden};
  }
  return options;
}

/// A compiled model with a KV cache of its own.
class Model {
 public:
  Model(const Config& config, DType dtype, CompileOptions options, int threads = 2) : config_(config), pool_(threads) {
    test::Decoder(graph_, config_).build();
    weights_ = std::make_unique<test::RandomWeights>(graph_, dtype);
    auto compiled = compile(graph_, *weights_, options, pool_);
    EXPECT_TRUE(compiled.has_value()) << compiled.error().message;
    if (compiled) executable_ = *compiled;
    pages_.resize(static_cast<std::size_t>(options.kv_layout.page_bytes() * kSequences * kMaxPages + 64));
    clear_cache();
  }
  Model(const Config& config, DType dtype) : Model(config, dtype, options_for(config, dtype)) {}

  std::vector<float> run(const OwnedBatch& batch) { return run(batch, pool_); }
  std::vector<float> run(const OwnedBatch& batch, ThreadPool& pool) {
    const auto aligned = (reinterpret_cast<std::uintptr_t>(pages_.data()) + 63) / 64 * 64;
    const std::span<float> logits = executable_->run(batch.view(), reinterpret_cast<std::byte*>(aligned), pool);
    return {logits.begin(), logits.end()};
  }
  /// Not zeros: nothing may depend on what a page holds before.
  void clear_cache() { std::ranges::fill(pages_, std::byte{0x3f}); }
  graph::Interpreter interpreter() const {
    return graph::Interpreter(graph_, [&](const std::string& name) { return weights_->floats(name); });
  }
  runtime::Executable& executable() { return *executable_; }
  test::RandomWeights& weights() { return *weights_; }
  std::int64_t vocab() const { return config_.vocab; }

 private:
  Config config_;
  ThreadPool pool_;
  Graph graph_;
  std::unique_ptr<test::RandomWeights> weights_;
  std::shared_ptr<runtime::Executable> executable_;
  std::vector<std::byte> pages_;
};

/// |a - b| / |b|, Euclidean.
double relative_error(const std::vector<float>& a, const std::vector<float>& b) {
  EXPECT_EQ(a.size(), b.size());
  double difference = 0, norm = 0;
  for (std::size_t i = 0; i < std::min(a.size(), b.size()); ++i) {
    difference += std::pow(static_cast<double>(a[i]) - b[i], 2);
    norm += std::pow(static_cast<double>(b[i]), 2);
  }
  return std::sqrt(difference / norm);
}

/// relative_error of each row.
std::vector<double> row_errors(const runtime::Tap& tap, const graph::Tensor& expected) {
  std::vector<double> errors;
  const std::int64_t width = expected.last();
  for (std::int64_t r = 0; r < expected.rows(); ++r) {
    const auto row = tap.values.begin() + r * width;
    errors.push_back(relative_error({row, row + width}, {expected.row(r), expected.row(r) + width}));
  }
  return errors;
}

double bound(DType dtype) {
  switch (dtype) {
    case DType::kF32:
      return 1e-5;
    case DType::kBF16:
      return 2e-2;
    default:
      return 5e-2;  // activations of 8 bits
  }
}

/// Prompts of three sequences, then a step that continues one, adds another and leaves one out.
std::vector<OwnedBatch> two_steps(int vocab) {
  std::vector<OwnedBatch> batches(2);
  batches[0].add(test::random_tokens(140, vocab, 1), 0, 0, false);
  batches[0].add(test::random_tokens(1, vocab, 2), 0, 1);
  batches[0].add(test::random_tokens(13, vocab, 3), 0, 2);
  batches[1].add(test::random_tokens(5, vocab, 4), 140, 0);
  batches[1].add(test::random_tokens(9, vocab, 5), 0, 3);
  batches[1].add(test::random_tokens(1, vocab, 6), 13, 2);
  return batches;
}

using Case = std::tuple<std::string, DType>;

class Compiled : public testing::TestWithParam<Case> {
 protected:
  Config config() const { return test::configs().at(std::get<0>(GetParam())); }
  DType dtype() const { return std::get<1>(GetParam()); }
};

TEST_P(Compiled, AgreesWithTheInterpreter) {
  Model model(config(), dtype());
  auto interpreter = model.interpreter();
  for (const OwnedBatch& batch : two_steps(config().vocab)) {
    const auto expected = interpreter.run(graph::batch_inputs(batch.view())).outputs.at("logits").f32;
    EXPECT_LT(relative_error(model.run(batch), expected), bound(dtype()));
  }
}

TEST_P(Compiled, TapsAgreeWithTheInterpreterAndChangeNoBit) {
  CompileOptions options = options_for(config(), dtype());
  Model plain(config(), dtype(), options);
  options.taps = true;
  Model tapped(config(), dtype(), options);
  auto interpreter = tapped.interpreter();
  const bool routes = tensor::info(dtype()).quantized && config().router.top_k < config().experts;
  for (const OwnedBatch& batch : two_steps(config().vocab)) {
    const auto expected = interpreter.run(graph::batch_inputs(batch.view())).taps;
    EXPECT_EQ(tapped.run(batch), plain.run(batch));
    const auto taps = tapped.executable().taps();
    ASSERT_EQ(taps.size(), expected.size());
    for (const runtime::Tap& tap : taps) {
      EXPECT_EQ(tap.shape, expected.at(tap.name).dims);
      const std::vector<double> errors = row_errors(tap, expected.at(tap.name));
      if (routes) {
        // Where two scores are close, 8 bits choose another expert: 3 of 169 tokens here, the others are within 0.03.
        const auto beyond = std::ranges::count_if(errors, [&](double error) { return error > bound(dtype()); });
        EXPECT_LE(beyond, static_cast<std::ptrdiff_t>(errors.size()) / 50) << tap.name;
      } else {
        EXPECT_LT(relative_error({tap.values.begin(), tap.values.end()}, expected.at(tap.name).f32), bound(dtype()));
      }
    }
  }
  EXPECT_TRUE(plain.executable().taps().empty());
}

// A request's logits are the same bits alone, beside others, in any chunks and on any number of threads.
TEST_P(Compiled, OneAnswerPerRequest) {
  const int vocab = config().vocab, length = 150;  // more rows than are packed on every thread
  const std::vector<std::int32_t> tokens = test::random_tokens(length, vocab, 9);
  Model model(config(), dtype());
  OwnedBatch alone;
  alone.add(tokens, 0, 0);
  const std::vector<float> expected = model.run(alone);
  const auto expect_same = [&](const std::vector<float>& logits, std::int64_t from_row, int begin, int count) {
    for (int i = 0; i < count; ++i) {
      for (std::int64_t v = 0; v < vocab; ++v) {
        ASSERT_EQ(logits[static_cast<std::size_t>((from_row + i) * vocab + v)],
                  expected[static_cast<std::size_t>((begin + i) * vocab + v)])
            << "token " << begin + i << ", logit " << v;
      }
    }
  };
  struct Way {
    int threads, chunk;
    bool crowded;  ///< another sequence comes before it in each batch
  };
  for (const Way way : {Way{1, 64, true}, {2, 1, true}, {2, 7, false}, {2, 150, true}, {4, 64, false}, {4, 29, true}}) {
    ThreadPool pool(way.threads);
    model.clear_cache();
    for (int begin = 0; begin < length; begin += way.chunk) {
      const int count = std::min(way.chunk, length - begin);
      OwnedBatch batch;
      if (way.crowded) batch.add(test::random_tokens(5, vocab, 10), 0, 1);
      const auto before = static_cast<std::int64_t>(batch.ids.size());
      batch.add({tokens.begin() + begin, tokens.begin() + begin + count}, begin, 0);
      batch.add(test::random_tokens(3, vocab, 11), 0, 2);
      expect_same(model.run(batch, pool), before, begin, count);
      if (HasFatalFailure()) return;
    }
  }
}

TEST_P(Compiled, PassesKeepTheResult) {
  const std::vector<OwnedBatch> batches = two_steps(config().vocab);
  Model reference(config(), dtype());
  std::vector<std::vector<float>> expected;
  for (const OwnedBatch& batch : batches) expected.push_back(reference.run(batch));
  const auto check = [&](const std::vector<std::string>& disabled, bool same_bits) {
    CompileOptions options = options_for(config(), dtype());
    options.disabled_passes = disabled;
    Model model(config(), dtype(), options);
    for (std::size_t i = 0; i < batches.size(); ++i) {
      const std::vector<float> actual = model.run(batches[i]);
      if (same_bits) {
        EXPECT_EQ(actual, expected[i]) << "without " << disabled.front();
      } else {
        EXPECT_LT(relative_error(actual, expected[i]), bound(dtype())) << "without " << disabled.front();
      }
    }
  };
  check({kCodeWeights}, true);
  std::vector<std::string> all;
  for (const Pass& pass : passes()) {
    if (pass.required) continue;
    all.emplace_back(pass.name);
    // The epilogues may round the activation function or the sum otherwise than the row kernels do; all other passes
    // only move work.
    const std::string name = pass.name;
    check({name}, name != "fuse_gate_up" && name != "fuse_scale_into_embedding");
  }
  check(all, false);
}

std::string case_name(const testing::TestParamInfo<Case>& instance) {
  return std::get<0>(instance.param) + "_" + tensor::name(std::get<1>(instance.param));
}

INSTANTIATE_TEST_SUITE_P(Float, Compiled,
                         testing::Combine(testing::Values("llama", "untied", "qwen2", "gemma3", "gemma2", "sinks",
                                                          "odd", "experts", "biased_experts", "grouped_experts",
                                                          "odd_experts", "latent", "chunks", "convolution"),
                                          testing::Values(DType::kF32, DType::kBF16)),
                         case_name);
INSTANTIATE_TEST_SUITE_P(Quantized, Compiled,
                         testing::Combine(testing::Values("llama", "gemma3", "experts", "all_experts", "latent"),
                                          testing::Values(DType::kQ8_0, DType::kQ4_0)),
                         case_name);

TEST(Compile, DequantizesAndConverts) {
  const Config config;
  for (const DType stored : {DType::kQ8_0, DType::kF16, DType::kBF16}) {
    CompileOptions options = options_for(config, DType::kF32);
    options.dequantize = true;
    Model model(config, stored, options);
    auto interpreter = model.interpreter();
    for (const OwnedBatch& batch : two_steps(config.vocab)) {
      const auto expected = interpreter.run(graph::batch_inputs(batch.view())).outputs.at("logits").f32;
      EXPECT_LT(relative_error(model.run(batch), expected), 1e-5) << tensor::name(stored);
    }
  }
}

TEST(Compile, MixedWeightFormatsInOneLayer) {
  const Config config;
  Graph g;
  test::Decoder(g, config).build();
  test::RandomWeights weights(g, DType::kQ4_0, 1,
                              {{"layers.0.attn.v_proj", DType::kQ8_0}, {"layers.1.mlp.up_proj", DType::kQ8_0}});
  ThreadPool pool(2);
  const CompileOptions options = options_for(config, DType::kQ4_0);
  const auto compiled = compile(g, weights, options, pool);
  ASSERT_TRUE(compiled.has_value()) << compiled.error().message;
  std::vector<std::byte> pages(static_cast<std::size_t>(options.kv_layout.page_bytes() * kSequences * kMaxPages));
  graph::Interpreter interpreter(g, [&](const std::string& name) { return weights.floats(name); });
  for (const OwnedBatch& batch : two_steps(config.vocab)) {
    const auto expected = interpreter.run(graph::batch_inputs(batch.view())).outputs.at("logits").f32;
    const std::span<float> logits = (*compiled)->run(batch.view(), pages.data(), pool);
    EXPECT_LT(relative_error({logits.begin(), logits.end()}, expected), bound(DType::kQ4_0));
  }
}

TEST(Compile, NoLogitsWanted) {
  const Config config;
  Model model(config, DType::kF32);
  OwnedBatch batch;
  batch.add(test::random_tokens(9, config.vocab, 1), 0, 0);
  batch.logit_rows.clear();
  EXPECT_TRUE(model.run(batch).empty());
}

TEST(Compile, ReleasesWhatItPacked) {
  const Config config;
  Model model(config, DType::kBF16);
  const auto& released = model.weights().released;
  EXPECT_THAT(released, testing::Contains("layers.0.attn.q_proj"));
  EXPECT_THAT(released, testing::Contains("norm"));
}

TEST(Compile, RowOrderOfAWeightIsHonoured) {
  const Config config{.layers = 1};
  Graph g;
  test::Decoder(g, config).build();
  test::RandomWeights weights(g, DType::kF32);
  auto& view = weights.view("layers.0.attn.q_proj");
  for (std::int32_t i = 0; i < view.n; ++i) view.order.push_back(static_cast<std::int32_t>(view.n) - 1 - i);
  ThreadPool pool(2);
  const CompileOptions options = options_for(config, DType::kF32);
  const auto compiled = compile(g, weights, options, pool);
  ASSERT_TRUE(compiled.has_value());
  std::vector<std::byte> pages(static_cast<std::size_t>(options.kv_layout.page_bytes() * kSequences * kMaxPages));
  const OwnedBatch batch = two_steps(config.vocab)[0];
  graph::Interpreter interpreter(g, [&](const std::string& name) { return weights.floats(name); });
  const std::span<float> logits = (*compiled)->run(batch.view(), pages.data(), pool);
  EXPECT_LT(relative_error({logits.begin(), logits.end()},
                           interpreter.run(graph::batch_inputs(batch.view())).outputs.at("logits").f32),
            1e-5);
}

TEST(Compile, AWrongShapeNamesTheTensor) {
  const Config config;
  Graph g;
  test::Decoder(g, config).build();
  test::RandomWeights weights(g, DType::kF32);
  weights.view("layers.0.mlp.down_proj").n = 63;
  ThreadPool pool(1);
  const auto compiled = compile(g, weights, options_for(config, DType::kF32), pool);
  ASSERT_FALSE(compiled.has_value());
  EXPECT_EQ(compiled.error().message,
            "weight layers.0.mlp.down_proj is [63, 96] in the checkpoint, and the model needs [64, 96]");
}

TEST(Compile, ALayoutThatContradictsTheModelIsRefused) {
  const Config config;
  Graph g;
  test::Decoder(g, config).build();
  test::RandomWeights weights(g, DType::kF32);
  CompileOptions options = options_for(config, DType::kF32);
  options.kv_layout.layers[1].num_kv_heads = 3;
  const auto explained = explain(g, weights, options);
  ASSERT_FALSE(explained.has_value());
  EXPECT_THAT(explained.error().message, HasSubstr("the cache is u8[kv_cache, 2, 16, 16] and the KV layout"));
}

TEST(Explain, NeedsNoData) {
  const Config config;
  Graph g;
  test::Decoder(g, config).build();
  test::RandomWeights weights(g, DType::kBF16);
  for (const auto& request : g.weights()) weights.view(request.name).data = nullptr;
  const auto explained = explain(g, weights, options_for(config, DType::kBF16));
  ASSERT_TRUE(explained.has_value()) << explained.error().message;
  EXPECT_THAT(explained->graph_before, HasSubstr("linear("));
  EXPECT_THAT(explained->graph_after, HasSubstr("rope_kv_append("));
  EXPECT_THAT(explained->plan, HasSubstr("matmul"));
  EXPECT_EQ(explained->passes.size(), passes().size());
  EXPECT_GT(explained->weight_bytes, 0);
  EXPECT_GT(explained->arena_bytes, 0);
  ThreadPool pool(1);
  const auto compiled = compile(g, weights, options_for(config, DType::kBF16), pool);
  ASSERT_FALSE(compiled.has_value());
  EXPECT_THAT(compiled.error().message, HasSubstr("has no data"));
}

}  // namespace
}  // namespace tenon::compiler
