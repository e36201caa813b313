// Encoders against transformers in float32 on tiny random checkpoints (tools/make_golden.py), some of them as GGUF
// files too (tools/make_gguf.py), and the pooling of their states against its definition.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>

#include "cases.h"
#include "engine/encoder.h"
#include "loader/loader.h"
#include "weights/checkpoint.h"

namespace tenon::golden {
namespace {

namespace fs = std::filesystem;
using Ids = std::vector<std::int32_t>;
using runtime::PoolingMode;

constexpr int kThreads = 2;

fs::path golden_dir() { return fs::path(std::getenv("TENON_SOURCE_DIR")) / "tests" / "golden"; }

// Folders, and the GGUF files in them.
std::vector<std::string> models() {
  std::vector<std::string> out = cases_with({"embedding.safetensors"});
  for (const std::string& name : cases_with({"embedding.safetensors", "model.gguf"}))
    out.push_back(name + "/model.gguf");
  return out;
}

class Embedding : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    const fs::path model = golden_dir() / GetParam();
    const fs::path folder = fs::is_directory(model) ? model : model.parent_path();
    auto reference = weights::open_safetensors((folder / "embedding.safetensors").string());
    ASSERT_TRUE(reference) << reference.error().message;
    reference_ = std::move(*reference);
    for (int n = 0;; ++n) {
      const auto* ids = reference_->find("prompt." + std::to_string(n) + ".ids");
      if (ids == nullptr) break;
      const auto* first = reinterpret_cast<const std::int32_t*>(ids->data);
      texts_.emplace_back(first, first + tensor::elements(ids->shape));
    }
    ASSERT_GE(texts_.size(), 3u);
    model_ = load(512);
  }

  // At most 3 texts a run, fewer than there are. A decoder's texts also come in pieces of `run_tokens`, and an
  // encoder's runs take whole texts.
  static loader::LoadedModel load(int run_tokens) {
    loader::LoadOptions options{.model = (golden_dir() / GetParam()).string(), .quantization_encoding = "float32"};
    options.limits.max_rows = 3;
    options.limits.max_total_tokens = run_tokens;
    ThreadPool pool(kThreads);
    auto model = loader::load_embedder(options, pool);
    EXPECT_TRUE(model) << model.error().message;
    return std::move(*model);
  }

  static std::unique_ptr<engine::Encoder> encoder(const loader::LoadedModel& model, runtime::Pooling pooling) {
    auto encoder = engine::Encoder::create(model.executable,
                                           {.pooling = pooling,
                                            .vocab_size = model.vocab_size,
                                            .max_length = model.max_length,
                                            .whole_texts = model.embedding->whole_texts},
                                           kThreads);
    EXPECT_TRUE(encoder);
    return std::move(*encoder);
  }
  std::unique_ptr<engine::Encoder> encoder(runtime::Pooling pooling) const { return encoder(model_, pooling); }

  // The pooled states of transformers, in double.
  std::vector<double> expected(std::size_t n, runtime::Pooling pooling) const {
    const auto* states = reference_->find("prompt." + std::to_string(n) + ".states");
    const auto tokens = static_cast<std::size_t>(states->shape[0]), size = static_cast<std::size_t>(states->shape[1]);
    const auto* x = reinterpret_cast<const float*>(states->data);
    std::vector<double> out(size);
    for (std::size_t i = 0; i < size; ++i) {
      if (pooling.mode == PoolingMode::kCls) out[i] = static_cast<double>(x[i]);
      if (pooling.mode == PoolingMode::kLastToken) out[i] = static_cast<double>(x[(tokens - 1) * size + i]);
      if (pooling.mode != PoolingMode::kMean) continue;
      for (std::size_t t = 0; t < tokens; ++t)
        out[i] += static_cast<double>(x[t * size + i]) / static_cast<double>(tokens);
    }
    double length = 0;
    for (const double value : out) length += value * value;
    if (pooling.normalize) {
      for (double& value : out) value /= std::sqrt(length);
    }
    return out;
  }

  std::shared_ptr<const weights::Checkpoint> reference_;
  std::vector<Ids> texts_;
  loader::LoadedModel model_;
};

TEST_P(Embedding, EveryPoolingOfTheStatesOfTransformers) {
  for (const PoolingMode mode : {PoolingMode::kMean, PoolingMode::kCls, PoolingMode::kLastToken}) {
    for (const bool normalize : {false, true}) {
      const runtime::Pooling pooling{mode, normalize};
      const auto vectors = encoder(pooling)->encode(texts_);
      ASSERT_TRUE(vectors) << vectors.error().message;
      ASSERT_EQ(vectors->size(), texts_.size());
      for (std::size_t n = 0; n < texts_.size(); ++n) {
        const std::vector<double> want = expected(n, pooling);
        ASSERT_EQ((*vectors)[n].size(), want.size());
        for (std::size_t i = 0; i < want.size(); ++i) {
          ASSERT_NEAR((*vectors)[n][i], want[i], 1e-4 * (1 + std::abs(want[i]))) << "text " << n << " " << i;
        }
      }
    }
  }
}

TEST_P(Embedding, OneAnswerPerText) {
  const auto encode = encoder({PoolingMode::kMean, true});
  const auto all = encode->encode(texts_);
  ASSERT_TRUE(all);
  for (std::size_t n = 0; n < texts_.size(); ++n)
    EXPECT_EQ(encode->encode(std::vector<Ids>{texts_[n]})->front(), (*all)[n]);
}

TEST_P(Embedding, PiecesOfATextChangeNoBit) {
  const auto pooling = model_.embedding->pooling;
  const auto whole = encoder(pooling)->encode(texts_);
  ASSERT_TRUE(whole);
  for (const int run_tokens : {1, 7, 64}) {
    const auto pieces = encoder(load(run_tokens), pooling)->encode(texts_);
    ASSERT_TRUE(pieces) << pieces.error().message;
    EXPECT_EQ(*pieces, *whole) << run_tokens;
  }
}

TEST_P(Embedding, TheFilesSayHowToPool) {
  const bool decoder = GetParam().starts_with("qwen3");
  EXPECT_EQ(model_.embedding->whole_texts, !decoder);
  EXPECT_EQ(model_.embedding->pooling.mode, decoder ? PoolingMode::kLastToken : PoolingMode::kMean);
  EXPECT_EQ(model_.embedding->pooling.normalize, decoder);
}

TEST_P(Embedding, WhatIsWrongIsNamed) {
  const auto encode = encoder({});
  const auto longest = static_cast<std::size_t>(model_.max_length);
  const std::string most = std::to_string(longest);
  const auto error = [&](Ids ids) { return encode->encode(std::vector<Ids>{Ids{3}, std::move(ids)}).error().message; };
  EXPECT_EQ(error({}), "text 1 has no tokens");
  EXPECT_EQ(error(Ids(longest + 1, 3)), "text 1 has " + std::to_string(longest + 1) +
                                            " tokens, but this model takes at most " + most + ": shorten or split it");
  EXPECT_EQ(error({96}), "text 1 has the token id 96, outside the vocabulary of 96");
  EXPECT_EQ(error({-1}), "text 1 has the token id -1, outside the vocabulary of 96");
  EXPECT_TRUE(encode->encode(std::vector<Ids>{Ids(longest, 3)}));
}

TEST_P(Embedding, OnlyAnArchitectureOfBothTasksGenerates) {
  ThreadPool pool(1);
  const auto loaded = loader::load({.model = (golden_dir() / GetParam()).string()}, pool);
  if (GetParam().starts_with("qwen3")) {
    ASSERT_TRUE(loaded) << loaded.error().message;
    EXPECT_FALSE(loaded->embedding);
    EXPECT_EQ(loaded->executable->vocab_size(), loaded->vocab_size);
    return;
  }
  ASSERT_FALSE(loaded);
  EXPECT_NE(loaded.error().message.find("use `tenon encode`"), std::string::npos) << loaded.error().message;
}

INSTANTIATE_TEST_SUITE_P(Transformers, Embedding, testing::ValuesIn(models()),
                         [](const auto& test) { return name_of(test.param); });

}  // namespace
}  // namespace tenon::golden
