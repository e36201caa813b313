#include "sampler/sampling.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <random>
#include <set>

#include "sampler/philox.h"

namespace tenon::sampler {

static void PrintTo(const SamplingParams& p, std::ostream* out) {
  *out << "temperature=" << p.temperature << ",top_k=" << p.top_k << ",top_p=" << p.top_p << ",min_p=" << p.min_p;
}

namespace {

using testing::ElementsAre;
using testing::Pair;

constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

std::int32_t token(std::span<const float> logits, const SamplingParams& params, std::int64_t position = 0) {
  Scratch scratch;
  return sample(logits, params, position, scratch).token;
}

std::vector<float> random_logits(std::size_t n, unsigned seed, float scale = 3) {
  std::mt19937 random(seed);
  std::normal_distribution<float> normal(0, scale);
  std::vector<float> logits(n);
  for (auto& x : logits) x = normal(random);
  return logits;
}

// transformers' warpers, word for word and by full sorts: the probability of every token.
std::vector<double> reference(std::span<const float> logits, const SamplingParams& p) {
  const std::size_t n = logits.size();
  std::vector<double> scores(logits.begin(), logits.end());
  for (auto& x : scores) x /= static_cast<double>(p.temperature);
  const auto softmax = [&] {
    const double max = *std::ranges::max_element(scores);
    std::vector<double> out(n);
    double sum = 0;
    for (std::size_t i = 0; i < n; ++i) sum += out[i] = std::exp(scores[i] - max);
    for (auto& x : out) x /= sum;
    return out;
  };
  std::vector<std::size_t> order(n);  // best first
  for (std::size_t i = 0; i < n; ++i) order[i] = i;
  std::ranges::sort(order, [&](auto a, auto b) { return scores[a] > scores[b] || (scores[a] == scores[b] && a < b); });
  if (p.top_k > 0) {
    const double kth = scores[order[std::min(n, static_cast<std::size_t>(p.top_k)) - 1]];
    for (auto& x : scores) x = x < kth ? -INFINITY : x;
  }
  if (p.top_p < 1) {
    const auto probs = softmax();
    double above = 0;
    for (std::size_t i = 0; i < n; ++i) {
      if (i > 0 && above >= static_cast<double>(p.top_p)) scores[order[i]] = -INFINITY;
      above += probs[order[i]];
    }
  }
  if (p.min_p > 0) {
    const auto probs = softmax();
    const double least = static_cast<double>(p.min_p) * *std::ranges::max_element(probs);
    for (std::size_t i = 0; i < n; ++i) scores[i] = probs[i] < least ? -INFINITY : scores[i];
  }
  return softmax();
}

TEST(Philox, KnownAnswers) {  // Random123's kat_vectors
  EXPECT_THAT(philox4x32({0, 0, 0, 0}, {0, 0}), ElementsAre(0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8));
  EXPECT_THAT(philox4x32({~0u, ~0u, ~0u, ~0u}, {~0u, ~0u}),
              ElementsAre(0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd));
  EXPECT_THAT(philox4x32({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
              ElementsAre(0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1));
}

TEST(Uniform, IsAFunctionOfSeedAndPositionWithin0And1) {
  EXPECT_EQ(uniform(0, 0), static_cast<double>((0xe169c58d6627e8d5u >> 11)) * 0x1p-53);
  EXPECT_NE(uniform(0, 1), uniform(1, 0));
  EXPECT_NE(uniform(std::uint64_t{1} << 32, 0), uniform(0, 0));
  double sum = 0;
  for (std::uint64_t i = 0; i < 10000; ++i) {
    const double u = uniform(42, i);
    ASSERT_GE(u, 0);
    ASSERT_LT(u, 1);
    sum += u;
  }
  EXPECT_NEAR(sum / 10000, 0.5, 0.01);
}

TEST(Sample, GreedyTakesTheFirstOfTheLargest) {
  const SamplingParams greedy{.temperature = 0};
  EXPECT_EQ(token(std::vector{1.0f, 3.0f, 3.0f, 2.0f}, greedy), 1);
  EXPECT_EQ(token(std::vector{7.0f}, greedy), 0);
  EXPECT_EQ(token(std::vector{kNan, -kInf, -5.0f}, greedy), 2);
  EXPECT_EQ(token(std::vector{0.0f, kInf, kInf}, greedy), 1);
}

class SampleDistribution : public testing::TestWithParam<SamplingParams> {};

// Chi-square against the reference over draws at many positions; nothing of probability 0 is ever drawn.
TEST_P(SampleDistribution, IsThatOfTransformers) {
  constexpr int kDraws = 40000;
  std::vector<float> logits = random_logits(50, 7, 2);
  logits[10] = logits[11] = *std::ranges::max_element(logits);  // ties at the top
  logits[20] = logits[21] = logits[22];
  logits[30] = -kInf;
  SamplingParams params = GetParam();
  params.seed = 1234;
  const auto expected = reference(logits, params);
  std::vector<int> counts(logits.size());
  Scratch scratch;
  for (int i = 0; i < kDraws; ++i) ++counts[static_cast<std::size_t>(sample(logits, params, i, scratch).token)];
  double chi2 = 0;
  int cells = 0;
  double rare_expected = 0, rare_seen = 0;
  for (std::size_t i = 0; i < logits.size(); ++i) {
    const double e = expected[i] * kDraws;
    if (expected[i] == 0) {
      EXPECT_EQ(counts[i], 0) << "token " << i << " was filtered out";
    } else if (e < 8) {
      rare_expected += e, rare_seen += counts[i];
    } else {
      chi2 += (counts[i] - e) * (counts[i] - e) / e;
      ++cells;
    }
  }
  if (rare_expected >= 1) chi2 += (rare_seen - rare_expected) * (rare_seen - rare_expected) / rare_expected, ++cells;
  // The 99.99 % point of chi-square is below df + 4 sqrt(2 df) + 12.
  EXPECT_LT(chi2, cells + 4 * std::sqrt(2.0 * cells) + 12);
}

INSTANTIATE_TEST_SUITE_P(Params, SampleDistribution,
                         testing::Values(SamplingParams{}, SamplingParams{.temperature = 0.7f},
                                         SamplingParams{.temperature = 5.0f}, SamplingParams{.top_k = 1},
                                         SamplingParams{.top_k = 5}, SamplingParams{.top_k = 1000},
                                         SamplingParams{.top_p = 0.0f}, SamplingParams{.top_p = 0.3f},
                                         SamplingParams{.top_p = 0.9f}, SamplingParams{.top_p = 0.9999f},
                                         SamplingParams{.min_p = 0.05f}, SamplingParams{.min_p = 1.0f},
                                         SamplingParams{.temperature = 1.5f, .top_k = 20, .top_p = 0.8f, .min_p = 0.1f},
                                         SamplingParams{.temperature = 0.6f, .top_k = 20, .top_p = 0.95f}));

// The set that can be drawn, found by sweeping positions of a peaked-to-flat family, equals the reference's.
TEST(Sample, NeverLeavesTheReferenceSetOverRandomRows) {
  std::mt19937 random(3);
  Scratch scratch;
  for (int row = 0; row < 200; ++row) {
    const std::size_t n = 1 + random() % 300;
    auto logits = random_logits(n, static_cast<unsigned>(row), 0.1f + static_cast<float>(row % 20));
    SamplingParams p{.temperature = 0.2f + 0.1f * static_cast<float>(random() % 20),
                     .top_k = static_cast<int>(random() % 40),
                     .top_p = 0.05f * static_cast<float>(random() % 21),
                     .min_p = random() % 2 ? 0.0f : 0.02f};
    const auto expected = reference(logits, p);
    const auto kept = std::ranges::count_if(expected, [](double x) { return x > 0; });
    std::set<std::int32_t> seen;
    for (int i = 0; i < 300; ++i) {
      const auto t = sample(logits, p, i, scratch).token;
      ASSERT_GT(expected[static_cast<std::size_t>(t)], 0) << "row " << row;
      seen.insert(t);
    }
    if (kept <= 3 && *std::ranges::min_element(expected, {}, [](double x) { return x > 0 ? x : 1; }) > 0.05) {
      EXPECT_EQ(static_cast<std::int64_t>(seen.size()), kept) << "row " << row;
    }
  }
}

TEST(Sample, TopKKeepsThoseEqualToTheKth) {
  const std::vector logits{1.0f, 2.0f, 2.0f, 2.0f, 0.0f};
  std::set<std::int32_t> seen;
  for (int i = 0; i < 200; ++i) seen.insert(token(logits, {.top_k = 2}, i));
  EXPECT_EQ(seen, (std::set<std::int32_t>{1, 2, 3}));
}

TEST(Sample, TopPKeepsTheSmallestSetThatReachesIt) {
  const std::vector logits{std::log(0.5f), std::log(0.3f), std::log(0.2f)};
  const auto seen = [&](float top_p) {
    std::set<std::int32_t> tokens;
    for (int i = 0; i < 300; ++i) tokens.insert(token(logits, {.top_p = top_p}, i));
    return tokens.size();
  };
  EXPECT_EQ(seen(0.49f), 1u);
  EXPECT_EQ(seen(0.51f), 2u);
  EXPECT_EQ(seen(0.79f), 2u);
  EXPECT_EQ(seen(0.81f), 3u);
}

TEST(Sample, EqualLogitsAreEquallyLikelyAndTopPCutsTheLastTokens) {
  const std::vector<float> logits(1000, 2.5f);
  std::int32_t largest = 0;
  for (int i = 0; i < 3000; ++i) largest = std::max(largest, token(logits, {.top_p = 0.25f}, i));
  EXPECT_LE(largest, 250);
  EXPECT_GT(largest, 230);
}

TEST(Sample, OddLogits) {
  for (const float temperature : {0.0f, 1.0f, 1e-4f, 1e6f}) {
    const SamplingParams p{.temperature = temperature, .top_logprobs = 3};
    Scratch scratch;
    EXPECT_EQ(sample(std::vector{kNan, kNan}, p, 0, scratch).token, -1);
    EXPECT_EQ(sample(std::vector{-kInf, -kInf}, p, 0, scratch).token, -1);
    EXPECT_EQ(sample(std::vector{0.0f}, p, 0, scratch).token, 0);
    EXPECT_FLOAT_EQ(sample(std::vector{kNan, 3.0f, -kInf}, p, 0, scratch).logprobs.logprob, 0);
    EXPECT_EQ(sample(std::vector{kNan, 3.0f, -kInf}, p, 0, scratch).token, 1);
    for (int i = 0; i < 50; ++i) {
      const auto s = sample(std::vector{1.0f, kInf, -kInf, kInf, kNan}, p, i, scratch);
      EXPECT_TRUE(s.token == 1 || s.token == 3);
      EXPECT_FLOAT_EQ(s.logprobs.logprob, std::log(0.5f));
      ASSERT_EQ(s.logprobs.top.size(), 3u);
      EXPECT_EQ(s.logprobs.top[0].first, 1);
      EXPECT_EQ(s.logprobs.top[2].second, -kInf);
    }
    const float huge = std::numeric_limits<float>::max();
    EXPECT_EQ(token(std::vector{-huge, huge, -huge}, p), 1);
  }
}

TEST(Sample, DependsOnNothingButItsArguments) {
  const auto logits = random_logits(5000, 11);
  Scratch used;
  for (const SamplingParams& p : {SamplingParams{.seed = 5}, SamplingParams{.top_k = 40, .top_p = 0.9f, .seed = 5},
                                  SamplingParams{.temperature = 2, .top_p = 0.95f, .min_p = 0.01f, .seed = 5}}) {
    std::set<std::int32_t> tokens;
    for (int i = 0; i < 100; ++i) {
      const auto once = token(logits, p, i);
      ASSERT_EQ(once, sample(logits, p, i, used).token);
      sample(random_logits(100 + static_cast<std::size_t>(i) * 37, static_cast<unsigned>(i)), {}, i, used);
      ASSERT_EQ(once, sample(logits, p, i, used).token);
      tokens.insert(once);
    }
    EXPECT_GT(tokens.size(), 5u);  // positions differ
    SamplingParams other = p;
    other.seed = 6;
    int same = 0;
    for (int i = 0; i < 100; ++i) same += token(logits, p, i) == token(logits, other, i);
    EXPECT_LT(same, 60);  // and seeds
  }
}

TEST(Logprobs, AreOfTheRawLogits) {
  const std::vector logits{std::log(0.1f), std::log(0.6f), std::log(0.3f)};
  Scratch scratch;
  const auto s = sample(logits, {.temperature = 0.01f, .top_k = 1, .top_logprobs = 2}, 0, scratch);
  EXPECT_EQ(s.token, 1);
  EXPECT_NEAR(s.logprobs.logprob, std::log(0.6f), 1e-6f);
  ASSERT_THAT(s.logprobs.top, ElementsAre(Pair(1, testing::_), Pair(2, testing::_)));
  EXPECT_NEAR(s.logprobs.top[1].second, std::log(0.3f), 1e-6f);
  EXPECT_EQ(sample(logits, {.top_logprobs = 20}, 0, scratch).logprobs.top.size(), 3u);
  EXPECT_TRUE(sample(logits, {.top_logprobs = 0}, 0, scratch).logprobs.top.empty());
  EXPECT_NE(sample(logits, {.top_logprobs = 0}, 0, scratch).logprobs.logprob, 0);
  EXPECT_EQ(sample(logits, {}, 0, scratch).logprobs.logprob, 0);
}

TEST(Logprobs, TiesAtTheEndGoToTheSmallerToken) {
  const std::vector logits{0.0f, 1.0f, 0.0f, 0.0f};
  Scratch scratch;
  EXPECT_THAT(sample(logits, {.temperature = 0, .top_logprobs = 2}, 0, scratch).logprobs.top,
              ElementsAre(Pair(1, testing::_), Pair(0, testing::_)));
}

// As transformers' RepetitionPenaltyLogitsProcessor and vLLM's apply_penalties do it, over dense counts.
std::vector<float> penalized(std::vector<float> logits, const SamplingParams& p,
                             const std::vector<std::int32_t>& prompt, const std::vector<std::int32_t>& reply) {
  for (std::size_t i = 0; i < logits.size(); ++i) {
    const auto token = static_cast<std::int32_t>(i);
    const auto drawn = std::ranges::count(reply, token);
    if (drawn > 0 || std::ranges::count(prompt, token) > 0) {
      logits[i] = logits[i] > 0 ? logits[i] / p.repetition_penalty : logits[i] * p.repetition_penalty;
    }
    logits[i] -= p.frequency_penalty * static_cast<float>(drawn);
    logits[i] -= p.presence_penalty * static_cast<float>(drawn > 0);
  }
  return logits;
}

TEST(Penalties, AreThoseOfThePlainDefinition) {
  std::mt19937 random(5);
  Scratch scratch;
  for (int round = 0; round < 200; ++round) {
    const auto logits = random_logits(60, static_cast<unsigned>(round));
    std::vector<std::int32_t> prompt(1 + random() % 20), reply(random() % 40);
    for (auto& t : prompt) t = static_cast<std::int32_t>(random() % 60);
    for (auto& t : reply) t = static_cast<std::int32_t>(random() % 12);
    const auto real = [&](float low, float high) { return std::uniform_real_distribution<float>(low, high)(random); };
    SamplingParams p{.temperature = round % 2 ? 0.8f : 0.0f, .seed = random()};
    if (round % 3) p.frequency_penalty = real(-2, 2);
    if (round % 5) p.presence_penalty = real(-2, 2);
    if (round % 7) p.repetition_penalty = real(0.5f, 2);
    TokenHistory history;
    history.begin(prompt, 4);
    for (const auto t : reply) history.add(t);
    SamplingParams plain{.temperature = p.temperature, .seed = p.seed};
    ASSERT_EQ(sample(logits, p, round, scratch, {.history = &history}).token,
              sample(penalized(logits, p, prompt, reply), plain, round, scratch).token);
  }
}

TEST(Penalties, RepetitionLooksAtThePromptFrequencyAndPresenceAtTheReplyOnly) {
  const std::vector logits{2.0f, 1.9f, -1.0f};
  TokenHistory history;
  history.begin(std::vector{0, 0, 2}, 0);
  Scratch scratch;
  const auto best = [&](SamplingParams p) {
    p.temperature = 0;
    return sample(logits, p, 0, scratch, {.history = &history}).token;
  };
  EXPECT_EQ(best({.repetition_penalty = 1.2f}), 1);
  EXPECT_EQ(best({.frequency_penalty = 2, .presence_penalty = 2}), 0);
  history.add(0);
  EXPECT_EQ(best({.frequency_penalty = 0.5f}), 1);
  EXPECT_EQ(best({.presence_penalty = 0.5f}), 1);
  history.add(1);
  EXPECT_EQ(best({.presence_penalty = 0.5f}), 0);  // both once
}

TEST(LogitBias, IsAddedBeforeTheTemperatureAndLogprobsStayRaw) {
  const std::vector logits{1.0f, 2.0f, 3.0f};
  Scratch scratch;
  const SamplingParams p{.temperature = 0, .top_logprobs = 1, .logit_bias = {{0, 5.0f}, {2, -100.0f}, {99, 1.0f}}};
  const auto s = sample(logits, p, 0, scratch);
  EXPECT_EQ(s.token, 0);
  EXPECT_EQ(s.logprobs.top[0].first, 2);
  EXPECT_FLOAT_EQ(s.logprobs.logprob, score(logits, 0, 0, scratch).logprob);
}

TEST(Banned, TokensAreNeverDrawn) {
  const std::vector logits{5.0f, 9.0f, 1.0f};
  const std::vector<std::int32_t> banned{1, -1, 77};
  Scratch scratch;
  for (int i = 0; i < 100; ++i) {
    EXPECT_NE(sample(logits, {}, i, scratch, {.banned = banned}).token, 1);
  }
  EXPECT_EQ(sample(logits, {.temperature = 0}, 0, scratch, {.banned = banned}).token, 0);
  EXPECT_EQ(sample(logits, {}, 0, scratch, {.banned = std::vector{0, 1, 2}}).token, -1);
}

TEST(BadWords, AreNeverComplete) {
  const std::vector logits{5.0f, 9.0f, 1.0f};
  const SamplingParams greedy{.temperature = 0, .bad_words = {{2, 0, 1}, {77}, {0, 77}, {1, 1}}};
  Scratch scratch;
  const auto next = [&](std::vector<std::int32_t> reply) {
    return sample(logits, greedy, 0, scratch, {.reply = reply}).token;
  };
  EXPECT_EQ(next({}), 1);
  EXPECT_EQ(next({0}), 1);
  EXPECT_EQ(next({2, 0}), 0);
  EXPECT_EQ(next({1, 2, 0}), 0);
  EXPECT_EQ(next({2, 0, 0}), 1);
  EXPECT_EQ(next({1}), 0);
  EXPECT_EQ(sample(logits, {.bad_words = {{0}, {1}, {2}}}, 0, scratch).token, -1);
}

TEST(AllowedTokens, AreTheOnlyOnesThatAreDrawn) {
  const std::vector logits{5.0f, 9.0f, 1.0f, 2.0f, kNan};
  Scratch scratch;
  const auto greedy = [&](std::vector<std::int32_t> allowed) {
    return sample(logits, {.temperature = 0, .allowed_tokens = std::move(allowed)}, 0, scratch).token;
  };
  EXPECT_EQ(greedy({0, 2, 3}), 0);
  EXPECT_EQ(greedy({2, 3}), 3);
  EXPECT_EQ(greedy({2}), 2);
  EXPECT_EQ(greedy({1, 99}), 1);
  EXPECT_EQ(greedy({4}), -1);
  for (std::int64_t i = 0; i < 50; ++i) {
    EXPECT_NE(sample(logits, {.temperature = 5, .seed = 1, .allowed_tokens = {0, 2}}, i, scratch).token, 1);
    EXPECT_NE(sample(logits, {.temperature = 5, .seed = 1, .allowed_tokens = {0, 2}}, i, scratch).token, 3);
  }
  // The logprobs are those of the model, as for every other parameter.
  const auto one = sample(logits, {.temperature = 0, .top_logprobs = 1, .allowed_tokens = {2}}, 0, scratch);
  EXPECT_EQ(one.logprobs.top[0].first, 1);
}

TEST(Rank, CountsThoseThatAreNotWorse) {
  const std::vector logits{1.0f, kNan, 3.0f, 2.0f, 2.0f, -kInf};
  EXPECT_EQ(rank(logits, 2), 1);
  EXPECT_EQ(rank(logits, 3), 3);
  EXPECT_EQ(rank(logits, 0), 4);
  EXPECT_EQ(rank(logits, 5), 5);
}

TEST(Allowed, NothingElseIsDrawnAndTheRestIsAsIfItWereAlone) {
  const auto logits = random_logits(100, 3);
  const std::vector<std::uint32_t> mask{0, ~0u, 1u << 5};  // 32 to 63, and 69; those from 96 on have no word
  std::vector<float> alone(logits.size(), -kInf);
  for (std::size_t t = 32; t < 64; ++t) alone[t] = logits[t];
  alone[69] = logits[69];
  Scratch scratch;
  for (const SamplingParams& p : {SamplingParams{}, SamplingParams{.temperature = 0}, SamplingParams{.top_k = 5},
                                  SamplingParams{.top_p = 0.8f, .min_p = 0.01f}}) {
    for (int i = 0; i < 300; ++i) {
      const auto drawn = sample(logits, p, i, scratch, {.allowed = mask}).token;
      EXPECT_TRUE((drawn >= 32 && drawn < 64) || drawn == 69) << drawn;
      EXPECT_EQ(drawn, sample(alone, p, i, scratch).token);
    }
  }
  const std::vector<std::uint32_t> none{0, 0, 0}, longer{0, 0, 0, ~0u, ~0u}, one{1u << 7};
  EXPECT_EQ(sample(logits, {}, 0, scratch, {.allowed = none}).token, -1);
  EXPECT_GE(sample(logits, {}, 0, scratch, {.allowed = longer}).token, 96);
  EXPECT_EQ(sample(logits, {}, 0, scratch, {.banned = std::vector{7}, .allowed = one}).token, -1);
}

TEST(Allowed, NeitherABiasNorLogprobsPassTheMask) {
  const std::vector logits{1.0f, 2.0f, 3.0f};
  const std::vector<std::uint32_t> mask{0b001};
  Scratch scratch;
  const SamplingParams p{.temperature = 0, .top_logprobs = 1, .logit_bias = {{2, 100.0f}}};
  const auto s = sample(logits, p, 0, scratch, {.allowed = mask});
  EXPECT_EQ(s.token, 0);
  EXPECT_EQ(s.logprobs.top[0].first, 2);  // of the raw logits
}

TEST(History, HoldsEachTokenOnceInOrder) {
  TokenHistory history;
  history.begin(std::vector{9, 3, 9, 1}, 2);
  for (const std::int32_t t : {3, 7, 3, 0}) history.add(t);
  std::vector<std::pair<std::int32_t, std::int32_t>> seen;
  for (const auto& e : history.entries()) seen.emplace_back(e.token, e.drawn);
  EXPECT_THAT(seen, ElementsAre(Pair(0, 1), Pair(1, 0), Pair(3, 2), Pair(7, 1), Pair(9, 0)));
  history.begin(std::vector{4}, 0);
  EXPECT_EQ(history.entries().size(), 1u);
}

TEST(Score, IsTheLogSoftmaxOfTheToken) {
  const std::vector logits{std::log(0.1f), std::log(0.6f), std::log(0.3f), kNan, -kInf};
  Scratch scratch;
  EXPECT_NEAR(score(logits, 2, 0, scratch).logprob, std::log(0.3f), 1e-6f);
  EXPECT_EQ(score(logits, 2, 2, scratch).top.front().first, 1);
  EXPECT_EQ(score(logits, 4, 0, scratch).logprob, -kInf);
  EXPECT_EQ(score(std::vector{kNan, kNan}, 0, 3, scratch).logprob, -kInf);
}

TEST(ChoiceSeed, TheFirstIsTheRequestsOwnAndAllDiffer) {
  EXPECT_EQ(choice_seed(42, 0), 42u);
  std::set<std::uint64_t> seeds;
  for (int i = 0; i < 1000; ++i) seeds.insert(choice_seed(42, i)), seeds.insert(choice_seed(43, i));
  EXPECT_EQ(seeds.size(), 2000u);
  EXPECT_EQ(choice_seed(42, 7), choice_seed(42, 7));
}

TEST(Params, AreValidatedByName) {
  EXPECT_TRUE(SamplingParams{}.validate());
  EXPECT_TRUE((SamplingParams{.temperature = 0, .top_p = 0}.validate()));
  const auto param = [](SamplingParams p) {
    const auto status = p.validate();
    return status ? std::string("ok") : status.error().param;
  };
  EXPECT_EQ(param({.temperature = -0.1f}), "temperature");
  EXPECT_EQ(param({.temperature = kNan}), "temperature");
  EXPECT_EQ(param({.temperature = kInf}), "temperature");
  EXPECT_EQ(param({.top_k = -1}), "top_k");
  EXPECT_EQ(param({.top_p = 1.01f}), "top_p");
  EXPECT_EQ(param({.top_p = kNan}), "top_p");
  EXPECT_EQ(param({.min_p = -0.5f}), "min_p");
  EXPECT_EQ(param({.top_logprobs = 21}), "top_logprobs");
  EXPECT_EQ(param({.top_logprobs = -2}), "top_logprobs");
  EXPECT_EQ(param({.frequency_penalty = 2.1f}), "frequency_penalty");
  EXPECT_EQ(param({.presence_penalty = kNan}), "presence_penalty");
  EXPECT_EQ(param({.repetition_penalty = 0}), "repetition_penalty");
  EXPECT_EQ(param({.repetition_penalty = kInf}), "repetition_penalty");
  EXPECT_EQ(param({.logit_bias = {{3, 100.5f}}}), "logit_bias");
  EXPECT_EQ(param({.logit_bias = {{-3, 1.0f}}}), "logit_bias");
  EXPECT_EQ(param({.bad_words = {{1}, {}}}), "bad_words");
  EXPECT_EQ(param({.allowed_tokens = {-1, 3}}), "allowed_token_ids");
  EXPECT_EQ(param({.allowed_tokens = {4, 3}}), "allowed_token_ids");
  EXPECT_NE(SamplingParams{.top_p = 1.5f}.validate().error().message.find("not 1.5"), std::string::npos);
}

}  // namespace
}  // namespace tenon::sampler
