#include "generate/embedder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <future>

#include "engine/fake_executable.h"

namespace tenon::generate {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using Ids = std::vector<std::int32_t>;

constexpr std::int32_t kCls = 90, kSep = 91;

// A token a byte from 'A' on, between two special ones.
class Letters final : public tokenizer::Tokenizer {
 public:
  Result<Ids> encode(std::string_view text, bool add_special_tokens) const override {
    Ids ids;
    if (add_special_tokens) ids.push_back(kCls);
    for (const char c : text) ids.push_back(c - 'A');
    if (add_special_tokens) ids.push_back(kSep);
    return ids;
  }
  Result<std::string> decode(std::span<const std::int32_t>, bool) const override { return std::string(); }
  std::optional<std::int32_t> token_to_id(std::string_view) const override { return std::nullopt; }
  std::optional<std::string> id_to_token(std::int32_t) const override { return std::nullopt; }
  bool is_special(std::int32_t id) const override { return id >= kCls; }
  std::int32_t vocab_size() const override { return 97; }
};

class EmbedderTest : public testing::Test {
 protected:
  EmbedderTest() { make({}); }

  void make(Matryoshka matryoshka, std::string prompt = "") {
    auto encoder = engine::Encoder::create(
        std::make_shared<engine::FakeExecutable>(runtime::Limits{.max_total_tokens = 16, .max_sampled_rows = 16}),
        {.pooling = {runtime::PoolingMode::kMean, true}, .vocab_size = 97, .max_length = 8}, 1);
    embedder_ = std::make_unique<Embedder>(
        Embedder::Parts{.encoder = std::make_shared<engine::EncoderLoop>(std::move(*encoder)),
                        .tokenizer = std::make_shared<Letters>(),
                        .prompt = std::move(prompt),
                        .matryoshka = std::move(matryoshka)});
  }
  Result<Embeddings> embed(EmbedRequest request) {
    auto answer = std::make_shared<std::promise<Result<Embeddings>>>();
    auto running =
        embedder_->start(std::move(request), [answer](auto result) { answer->set_value(std::move(result)); });
    if (!running) return std::unexpected(running.error());
    return answer->get_future().get();
  }
  Error error(EmbedRequest request) {
    auto result = embed(std::move(request));
    return result ? Error{ErrorCode::kInternal, "accepted"} : result.error();
  }
  std::unique_ptr<Embedder> embedder_;
};

TEST_F(EmbedderTest, TextsAndIds) {
  const auto answer = embed({.inputs = {"AB", Ids{kCls, 0, 1, kSep}, "C"}});
  ASSERT_TRUE(answer) << answer.error().message;
  ASSERT_EQ(answer->vectors.size(), 3u);
  EXPECT_EQ(answer->vectors[0], answer->vectors[1]);
  EXPECT_NE(answer->vectors[0], answer->vectors[2]);
  EXPECT_EQ(answer->vectors[0].size(), 97u);
  EXPECT_EQ(answer->prompt_tokens, 4 + 4 + 3);
}

TEST_F(EmbedderTest, ThePromptStandsBeforeTexts) {
  const auto plain = embed({.inputs = {"QAB", Ids{kCls, 0, 1, kSep}}});
  make({}, "Q");
  const auto prompted = embed({.inputs = {"AB", Ids{kCls, 0, 1, kSep}}});
  ASSERT_TRUE(plain && prompted);
  EXPECT_EQ(prompted->vectors, plain->vectors);
}

TEST_F(EmbedderTest, WhatIsWrongSaysWhich) {
  EXPECT_EQ(error({.inputs = {""}}).message, "the input is an empty string");
  EXPECT_EQ(error({.inputs = {"A", ""}}).message, "input[1] is an empty string");
  EXPECT_EQ(error({.inputs = {Ids{}}}).message, "the input has no tokens");
  EXPECT_THAT(error({.inputs = {"A", Ids{97}}}).message, HasSubstr("input[1] has the token id 97"));
  const Error longer = error({.inputs = {"ABCDEFG"}});
  EXPECT_EQ(longer.code, ErrorCode::kTooLong);
  EXPECT_EQ(longer.param, "input");
  EXPECT_THAT(longer.message, HasSubstr("has 9 tokens, but this model takes at most 8: shorten or split it, or set "
                                        "truncate_prompt_tokens to -1"));
}

TEST_F(EmbedderTest, TruncationKeepsTheSpecialTokens) {
  const auto same = [&](EmbedRequest a, EmbedRequest b) {
    const auto x = embed(std::move(a)), y = embed(std::move(b));
    ASSERT_TRUE(x) << x.error().message;
    ASSERT_TRUE(y) << y.error().message;
    EXPECT_EQ(x->vectors, y->vectors);
    EXPECT_EQ(x->prompt_tokens, y->prompt_tokens);
  };
  same({.inputs = {"ABCDEFGHIJ"}, .truncate_prompt_tokens = -1}, {.inputs = {"ABCDEF"}});
  same({.inputs = {"ABCDEFGHIJ"}, .truncate_prompt_tokens = 4}, {.inputs = {"AB"}});
  same({.inputs = {"AAAA"}, .truncate_prompt_tokens = 4}, {.inputs = {"AA"}});
  same({.inputs = {"AB"}, .truncate_prompt_tokens = 4}, {.inputs = {"AB"}});
  same({.inputs = {"AB"}, .truncate_prompt_tokens = 1}, {.inputs = {Ids{kCls}}});
  same({.inputs = {Ids{1, 2, 3, 4}}, .truncate_prompt_tokens = 2}, {.inputs = {Ids{1, 2}}});
  EXPECT_EQ(error({.inputs = {"A"}, .truncate_prompt_tokens = 9}).param, "truncate_prompt_tokens");
  EXPECT_EQ(error({.inputs = {"A"}, .truncate_prompt_tokens = 0}).param, "truncate_prompt_tokens");
}

TEST_F(EmbedderTest, DimensionsOfAMatryoshkaModel) {
  EXPECT_THAT(error({.inputs = {"A"}, .dimensions = 8}).message, HasSubstr("does not say that its vectors may be cut"));
  EXPECT_TRUE(embed({.inputs = {"A"}, .dimensions = 97}));  // nothing is cut
  EXPECT_EQ(error({.inputs = {"A"}, .dimensions = 98}).param, "dimensions");
  make({.allowed = true});
  const auto all = embed({.inputs = {"AB"}}), few = embed({.inputs = {"AB"}, .dimensions = 3});
  ASSERT_TRUE(few) << few.error().message;
  ASSERT_EQ(few->vectors[0].size(), 3u);
  double length = 0, squares = 0;
  for (std::size_t i = 0; i < 3; ++i) length += std::pow(static_cast<double>(all->vectors[0][i]), 2);
  for (std::size_t i = 0; i < 3; ++i) {
    EXPECT_NEAR(few->vectors[0][i], all->vectors[0][i] / std::sqrt(length), 1e-6);
    squares += std::pow(static_cast<double>(few->vectors[0][i]), 2);
  }
  EXPECT_NEAR(squares, 1.0, 1e-6);
  make({.allowed = true, .dimensions = {16, 32}});
  EXPECT_TRUE(embed({.inputs = {"A"}, .dimensions = 32}));
  EXPECT_EQ(error({.inputs = {"A"}, .dimensions = 8}).message,
            "'dimensions' must be one of 16, 32 for this model, not 8");
}

TEST_F(EmbedderTest, ADroppedHandleIsNotAnswered) {
  std::atomic<int> calls{0};
  for (int i = 0; i < 50; ++i) {
    auto running = embedder_->start({.inputs = {"ABC", "DE"}}, [&](const auto&) { ++calls; });
    ASSERT_TRUE(running);
    running->reset();
  }
  ASSERT_TRUE(embed({.inputs = {"A"}}));
  const auto stats = embedder_->encoder().stats();
  EXPECT_EQ(stats.running + stats.waiting, 0);
  EXPECT_EQ(stats.requests_cancelled + stats.requests_finished, 51);
  EXPECT_LE(calls, stats.requests_finished);
}

}  // namespace
}  // namespace tenon::generate
