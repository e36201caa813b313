// Replies that must follow a grammar.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <array>
#include <memory>
#include <ranges>

#include "engine/engine.h"
#include "engine/fake_executable.h"
#include "engine/test_support.h"

namespace tenon::engine {
namespace {

using testing::HasSubstr;

constexpr std::int32_t kEnd = 96;

// After n tokens: every token t with t % 3 == n % 3 (and the end, from `may_end` on), until `length` tokens are there.
// Fails at the token after `fails_after`.
class Thirds final : public grammar::Matcher {
 public:
  explicit Thirds(int length, int may_end = 1000, int fails_after = 1000)
      : length_(length), may_end_(may_end), fails_after_(fails_after) {}

  std::span<const std::uint32_t> mask() override {
    words_.fill(0);
    if (taken >= fails_after_) {
      error_ = "too complex";
      return {};
    }
    for (int t = 0; t < kEnd && !complete(); ++t) set(t, t % 3 == taken % 3);
    set(kEnd, taken >= may_end_ || complete());
    return words_;
  }
  bool accept(std::int32_t token) override {
    EXPECT_TRUE(token == kEnd || token % 3 == taken % 3) << token << " after " << taken;
    ++taken;
    return true;
  }
  bool complete() const override { return taken >= length_; }
  const std::string& error() const override { return error_; }

  int taken = 0;

 private:
  void set(int t, bool on) { words_[static_cast<std::size_t>(t / 32)] |= std::uint32_t{on} << (t % 32); }
  const int length_, may_end_, fails_after_;
  std::array<std::uint32_t, 4> words_ = {};
  std::string error_;
};

// What the reply must be, computed without an engine.
std::vector<std::int32_t> thirds_reply(std::vector<std::int32_t> tokens, const sampler::SamplingParams& sampling,
                                       int count) {
  Thirds matcher(count);
  std::vector<std::int32_t> reply;
  std::vector<float> logits(97);
  sampler::Scratch scratch;
  while (!matcher.complete()) {
    fake_logits(tokens, logits);
    const auto position = static_cast<std::int64_t>(tokens.size());
    reply.push_back(sampler::sample(logits, sampling, position, scratch, {.allowed = matcher.mask()}).token);
    tokens.push_back(reply.back());
    matcher.accept(reply.back());
  }
  return reply;
}

TEST(Constrained, TheReplyEndsWhereTheGrammarIsComplete) {
  Collector collector;
  const auto engine = make(std::make_shared<FakeExecutable>(), {.num_pages = 10});
  const std::vector<std::int32_t> prompt{1, 2, 3};
  const sampler::SamplingParams sampling{.seed = 5};
  // Even where no stop token is known, and before min_tokens: the grammar allows nothing else.
  for (const std::int64_t max_tokens : {7, 50}) {
    const auto matcher = std::make_shared<Thirds>(7);
    const auto id = *engine->submit(
        {.prompt = prompt, .sampling = sampling, .max_tokens = max_tokens, .min_tokens = 20, .matcher = matcher},
        collector.sink());
    const auto reply = collector.wait(id);
    EXPECT_EQ(reply.finish, FinishReason::kStop);
    EXPECT_EQ(reply.tokens, thirds_reply(prompt, sampling, 7));
    EXPECT_EQ(reply.events_after_end, 0);
    EXPECT_EQ(matcher->taken, 7);
  }
  EXPECT_EQ(engine->stats().generated_tokens, 14);
  EXPECT_EQ(engine->stats().requests_finished, 2);
  expect_all_pages_free(*engine);
}

TEST(Constrained, MaxTokensCutsIt) {
  Collector collector;
  const auto engine = make(std::make_shared<FakeExecutable>(), {.num_pages = 10});
  const auto id =
      *engine->submit({.prompt = {4}, .max_tokens = 6, .matcher = std::make_shared<Thirds>(7)}, collector.sink());
  EXPECT_EQ(collector.wait(id).finish, FinishReason::kLength);
  EXPECT_EQ(collector.wait(id).tokens.size(), 6U);
}

TEST(Constrained, AStopTokenEndsItWhereTheGrammarAllows) {
  Collector collector;
  const auto engine = make(std::make_shared<FakeExecutable>(), {.num_pages = 10});
  // From the third token on the end is the only one whose bias helps.
  const sampler::SamplingParams sampling{.temperature = 0, .logit_bias = {{kEnd, 100.0f}}};
  const auto matcher = std::make_shared<Thirds>(50, 3);
  const auto id = *engine->submit(
      {.prompt = {4}, .sampling = sampling, .max_tokens = 40, .stop_token_ids = {kEnd}, .matcher = matcher},
      collector.sink());
  const auto reply = collector.wait(id);
  EXPECT_EQ(reply.finish, FinishReason::kStop);
  ASSERT_EQ(reply.tokens.size(), 4U);
  EXPECT_EQ(reply.tokens.back(), kEnd);
  EXPECT_EQ(matcher->taken, 3);
}

TEST(Constrained, AFailingMatcherEndsItsRequestOnly) {
  Collector collector;
  const auto engine = make(std::make_shared<FakeExecutable>(), {.num_pages = 10});
  const sampler::SamplingParams greedy{.temperature = 0};
  const auto bad = *engine->submit(
      {.prompt = {4}, .sampling = greedy, .max_tokens = 9, .matcher = std::make_shared<Thirds>(50, 50, 4)},
      collector.sink());
  const auto good = *engine->submit({.prompt = {8, 8}, .sampling = greedy, .max_tokens = 9}, collector.sink());
  EXPECT_EQ(collector.wait(bad).finish, FinishReason::kGrammar);
  EXPECT_THAT(collector.wait(bad).error, HasSubstr("grammar any further: too complex"));
  EXPECT_EQ(collector.wait(bad).tokens.size(), 4U);
  EXPECT_EQ(collector.wait(good).tokens, fake_reply({8, 8}, greedy, 9));
  expect_all_pages_free(*engine);
}

TEST(Constrained, PreemptionAndNeighboursChangeNothing) {
  std::int64_t preemptions = 0;
  for (const std::int64_t pages : {7, 2000}) {
    Collector collector;
    const auto engine = make(std::make_shared<FakeExecutable>(), {.prefill_chunk = 50, .num_pages = pages});
    auto requests = random_requests(6, 40, 40, 340);
    std::vector<RequestId> ids;
    std::vector<std::shared_ptr<Thirds>> matchers;
    for (std::size_t i = 0; i < requests.size(); ++i) {
      Request request = requests[i];
      matchers.push_back(std::make_shared<Thirds>(static_cast<int>(request.max_tokens)));
      if (i % 2) request.matcher = matchers.back();
      ids.push_back(*engine->submit(std::move(request), collector.sink()));
    }
    for (std::size_t i = 0; i < ids.size(); ++i) {
      const auto& [prompt, sampling, count] =
          std::tie(requests[i].prompt, requests[i].sampling, requests[i].max_tokens);
      const auto reply = collector.wait(ids[i]);
      EXPECT_EQ(reply.tokens,
                i % 2 ? thirds_reply(prompt, sampling, static_cast<int>(count)) : fake_reply(prompt, sampling, count));
      EXPECT_EQ(matchers[i]->taken, i % 2 ? count : 0);
    }
    preemptions += engine->stats().preemptions;
    expect_all_pages_free(*engine);
  }
  EXPECT_GT(preemptions, 10);
}

}  // namespace
}  // namespace tenon::engine
