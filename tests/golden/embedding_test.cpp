// Encoders against transformers in float32 on tiny random checkpoints (tools/make_golden.py), and the pooling of their
// states against its definition.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>

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

std::vector<std::string> cases() {
  std::vector<std::string> out;
  for (const auto& entry : fs::recursive_directory_iterator(TENON_GOLDEN_DIR)) {
    if (entry.path().filename() == "embedding.safetensors") {
      out.push_back(fs::relative(entry.path().parent_path(), TENON_GOLDEN_DIR).string());
    }
  }
  std::sort(out.begin(), out.end());
  return out;
}

class Embedding : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    const fs::path folder = golden_dir() / GetParam();
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
    loader::LoadOptions options{.model = folder.string()};
    options.limits.max_rows = 3;  // fewer than texts, so that there is more than one run
    ThreadPool pool(kThreads);
    auto model = loader::load_embedder(options, pool);
    ASSERT_TRUE(model) << model.error().message;
    model_ = std::move(*model);
  }

  std::unique_ptr<engine::Encoder> encoder(runtime::Pooling pooling) const {
    auto encoder = engine::Encoder::create(
        model_.executable, {.pooling = pooling, .vocab_size = model_.vocab_size, .max_length = model_.max_length},
        kThreads);
    EXPECT_TRUE(encoder);
    return std::move(*encoder);
  }

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

TEST_P(Embedding, WhatIsWrongIsNamed) {
  const auto encode = encoder({});
  const auto error = [&](Ids ids) { return encode->encode(std::vector<Ids>{Ids{3}, std::move(ids)}).error().message; };
  EXPECT_EQ(error({}), "text 1 has no tokens");
  EXPECT_EQ(error(Ids(129, 3)), "text 1 has 129 tokens, but this model takes at most 128: shorten or split it");
  EXPECT_EQ(error({96}), "text 1 has the token id 96, outside the vocabulary of 96");
  EXPECT_EQ(error({-1}), "text 1 has the token id -1, outside the vocabulary of 96");
  EXPECT_TRUE(encode->encode(std::vector<Ids>{Ids(128, 3)}));
  ThreadPool pool(1);
  const auto loaded = loader::load({.model = (golden_dir() / GetParam()).string()}, pool);
  ASSERT_FALSE(loaded);
  EXPECT_NE(loaded.error().message.find("use `tenon encode`"), std::string::npos) << loaded.error().message;
}

INSTANTIATE_TEST_SUITE_P(Transformers, Embedding, testing::ValuesIn(cases()), [](const auto& test) {
  std::string name = test.param;
  std::replace(name.begin(), name.end(), '/', '_');
  return name;
});

}  // namespace
}  // namespace tenon::golden
