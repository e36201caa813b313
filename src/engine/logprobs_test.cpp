// Logprobs of prompts, penalties and min_tokens: the same however a request is run.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "engine/engine.h"
#include "engine/fake_executable.h"
#include "engine/test_support.h"

namespace tenon::engine {
namespace {

// The oracle: one row of logits after the other.
std::vector<sampler::TokenLogprobs> scores(const std::vector<std::int32_t>& prompt, int top) {
  std::vector<sampler::TokenLogprobs> out;
  std::vector<float> logits(97);
  sampler::Scratch scratch;
  for (std::size_t i = 1; i < prompt.size(); ++i) {
    fake_logits(std::span(prompt).first(i), logits);
    out.push_back(sampler::score(logits, prompt[i], top, scratch));
  }
  return out;
}

bool equal(const std::vector<sampler::TokenLogprobs>& a, const std::vector<sampler::TokenLogprobs>& b) {
  return std::ranges::equal(a, b,
                            [](const auto& x, const auto& y) { return x.logprob == y.logprob && x.top == y.top; });
}

struct Shape {
  int extra_logits, batch_size, chunk;
  std::int64_t pages;
};

void PrintTo(const Shape& s, std::ostream* out) {
  *out << "extra_logits=" << s.extra_logits << ",batch=" << s.batch_size << ",chunk=" << s.chunk
       << ",pages=" << s.pages;
}

class PromptLogprobs : public testing::TestWithParam<Shape> {};

TEST_P(PromptLogprobs, AreTheOraclesBesideRequestsThatWantNone) {
  const Shape s = GetParam();
  Collector collector;
  auto model = std::make_shared<FakeExecutable>(runtime::Limits{.max_sampled_rows = s.batch_size + s.extra_logits});
  const auto engine = make(model, {.max_batch_size = s.batch_size, .prefill_chunk = s.chunk, .num_pages = s.pages}, 2);
  auto requests = random_requests(9, 30, 200, 30);
  std::vector<RequestId> ids;
  for (std::size_t i = 0; i < requests.size(); ++i) {
    if (i % 3 != 0) requests[i].prompt_logprobs = static_cast<int>(i % 4);
    if (i % 5 == 1) requests[i].max_tokens = 0;
    ids.push_back(*engine->submit(requests[i], collector.sink()));
  }
  for (std::size_t i = 0; i < requests.size(); ++i) {
    const auto reply = collector.wait(ids[i]);
    const auto& request = requests[i];
    EXPECT_EQ(reply.finish, FinishReason::kLength) << reply.error;
    EXPECT_EQ(reply.tokens, fake_reply(request.prompt, request.sampling, request.max_tokens)) << i;
    const auto expected = request.prompt_logprobs < 0 ? std::vector<sampler::TokenLogprobs>{}
                                                      : scores(request.prompt, request.prompt_logprobs);
    EXPECT_TRUE(equal(reply.prompt_logprobs, expected)) << i;
  }
  expect_all_pages_free(*engine);
}

INSTANTIATE_TEST_SUITE_P(Shapes, PromptLogprobs,
                         testing::Values(Shape{0, 1, 512, 100}, Shape{0, 8, 512, 100}, Shape{7, 4, 512, 100},
                                         Shape{32, 16, 50, 100}, Shape{32, 16, 1, 100}, Shape{16, 16, 64, 6}));

TEST(PromptLogprobs, APromptOfOneTokenHasNone) {
  Collector collector;
  const auto engine = make(std::make_shared<FakeExecutable>(), {.num_pages = 10});
  const auto id = *engine->submit({.prompt = {5}, .max_tokens = 0, .prompt_logprobs = 2}, collector.sink());
  EXPECT_EQ(collector.wait(id).finish, FinishReason::kLength);
  EXPECT_TRUE(collector.wait(id).prompt_logprobs.empty());
  EXPECT_EQ(engine->stats().generated_tokens, 0);
}

TEST(PromptLogprobs, AReadPromptMayFillTheContext) {
  Collector collector;
  const auto engine = make(std::make_shared<FakeExecutable>(), {.max_length = 100, .num_pages = 10});
  const auto submit = [&](std::size_t length, std::int64_t max_tokens) {
    return engine->submit({.prompt = std::vector<std::int32_t>(length, 1), .max_tokens = max_tokens}, collector.sink());
  };
  EXPECT_TRUE(submit(100, 0));
  EXPECT_FALSE(submit(101, 0));
  EXPECT_FALSE(submit(100, 1));
}

// What the penalties see is the request's own tokens, in every batch and through preemption.
TEST(Penalties, ChangeWithTheRequestsOwnTokensOnly) {
  Collector collector;
  const auto engine = make(std::make_shared<FakeExecutable>(), {.prefill_chunk = 50, .num_pages = 6});
  auto requests = random_requests(6, 24, 40, 200);
  std::vector<RequestId> ids;
  for (std::size_t i = 0; i < requests.size(); ++i) {
    requests[i].sampling.presence_penalty = 2;
    requests[i].sampling.frequency_penalty = i % 2 ? 0.5f : 0.0f;
    requests[i].sampling.repetition_penalty = i % 3 ? 1.5f : 1.0f;
    requests[i].sampling.logit_bias = {{static_cast<std::int32_t>(i), 1.0f}};
    ids.push_back(*engine->submit(requests[i], collector.sink()));
  }
  for (std::size_t i = 0; i < requests.size(); ++i) {
    const Request& request = requests[i];
    auto tokens = request.prompt;
    sampler::TokenHistory history;
    history.begin(tokens, 0);
    std::vector<float> logits(97);
    sampler::Scratch scratch;
    for (std::int64_t n = 0; n < request.max_tokens; ++n) {
      fake_logits(tokens, logits);
      tokens.push_back(sampler::sample(logits, request.sampling, static_cast<std::int64_t>(tokens.size()), scratch,
                                       {.history = &history})
                           .token);
      history.add(tokens.back());
    }
    tokens.erase(tokens.begin(), tokens.begin() + static_cast<std::ptrdiff_t>(request.prompt.size()));
    EXPECT_EQ(collector.wait(ids[i]).tokens, tokens) << i;
  }
  EXPECT_GT(engine->stats().preemptions, 0);
}

// The same for words that may not come: the reply alone counts, not the prompt.
TEST(BadWords, ChangeTheRequestsOwnReplyOnly) {
  Collector collector;
  const auto engine = make(std::make_shared<FakeExecutable>(), {.prefill_chunk = 50, .num_pages = 6}, 2);
  auto requests = random_requests(6, 24, 40, 200);
  std::vector<RequestId> ids;
  std::size_t changed = 0;
  for (Request& request : requests) {
    const auto free = fake_reply(request.prompt, request.sampling, request.max_tokens);
    if (free.size() > 3) {
      request.sampling.bad_words = {{free[0]}, {free[1], free[2]}, {request.prompt.back(), free[3]}};
      changed += fake_reply(request.prompt, request.sampling, request.max_tokens) != free;
    }
    ids.push_back(*engine->submit(request, collector.sink()));
  }
  EXPECT_GT(changed, 10u);
  for (std::size_t i = 0; i < requests.size(); ++i) {
    const auto expected = fake_reply(requests[i].prompt, requests[i].sampling, requests[i].max_tokens);
    EXPECT_EQ(collector.wait(ids[i]).tokens, expected) << i;
  }
  EXPECT_GT(engine->stats().preemptions, 0);
}

TEST(BadWords, ThatLeaveNothingAreTheRequestsFault) {
  Collector collector;
  const auto engine = make(std::make_shared<FakeExecutable>(), {.num_pages = 10});
  Request request{.prompt = {1, 2}, .sampling = {.seed = 3}, .max_tokens = 5};
  for (std::int32_t t = 0; t < 97; ++t) request.sampling.bad_words.push_back({t});
  const auto reply = collector.wait(*engine->submit(request, collector.sink()));
  EXPECT_EQ(reply.finish, FinishReason::kGrammar);
  EXPECT_NE(reply.error.find("bad_words"), std::string::npos);
}

TEST(AllowedTokens, ThatLeaveNothingAreTheRequestsFault) {
  Collector collector;
  const auto engine = make(std::make_shared<FakeExecutable>(), {.num_pages = 10});
  Request request{
      .prompt = {1, 2}, .sampling = {.seed = 3, .allowed_tokens = {5}, .bad_words = {{5}}}, .max_tokens = 5};
  const auto reply = collector.wait(*engine->submit(request, collector.sink()));
  EXPECT_EQ(reply.finish, FinishReason::kGrammar);
  EXPECT_TRUE(reply.error.starts_with("'allowed_token_ids' leave no token")) << reply.error;
  request.sampling = {.seed = 3, .allowed_tokens = {5, 97}};
  EXPECT_EQ(engine->submit(request, collector.sink()).error().param, "allowed_token_ids");
}

TEST(MinTokens, NoStopTokenIsDrawnBefore) {
  Collector collector;
  const auto engine = make(std::make_shared<FakeExecutable>(), {.num_pages = 10});
  std::vector<std::int32_t> stops;
  for (std::int32_t t = 0; t < 90; ++t) stops.push_back(t);  // nearly every token would stop
  for (const std::int64_t least : {0, 1, 7, 20}) {
    const auto id = *engine->submit(
        {.prompt = {1, 2}, .sampling = {.seed = 3}, .max_tokens = 20, .stop_token_ids = stops, .min_tokens = least},
        collector.sink());
    const auto reply = collector.wait(id);
    EXPECT_GE(static_cast<std::int64_t>(reply.tokens.size()), least);
    for (std::int64_t i = 0; i < std::min<std::int64_t>(least, 20); ++i) {
      EXPECT_GE(reply.tokens[static_cast<std::size_t>(i)], 90);
    }
  }
}

}  // namespace
}  // namespace tenon::engine
