// Guessed tokens change no reply: whatever is guessed, each token is the one that is drawn without.
#include <gtest/gtest.h>

#include "engine/engine.h"
#include "engine/fake_executable.h"
#include "engine/test_support.h"

namespace tenon::engine {
namespace {

// Of so few tokens that three in a row come again and again, so that much is guessed, and much of it wrong.
constexpr std::int64_t kVocab = 4;

std::vector<Request> repetitive_requests(int count, std::int64_t longest_reply) {
  std::mt19937 random(11);
  std::vector<Request> requests;
  for (int i = 0; i < count; ++i) {
    Request request{.max_tokens = 1 + static_cast<std::int64_t>(random()) % longest_reply};
    for (unsigned n = 1 + random() % 90; n > 0; --n)
      request.prompt.push_back(static_cast<std::int32_t>(random() % kVocab));
    request.sampling.temperature = i % 2 ? 1.0f : 0.0f;
    request.sampling.seed = random();
    request.sampling.top_logprobs = 0;
    requests.push_back(std::move(request));
  }
  return requests;
}

std::shared_ptr<FakeExecutable> repetitive_model(int extra_logits = 16) {
  return std::make_shared<FakeExecutable>(runtime::Limits{.max_sampled_rows = 64 + extra_logits}, kVocab);
}

struct Shape {
  int batch_size, speculative_tokens;
  std::int64_t pages;
  bool prefix_cache;
};

void PrintTo(const Shape& s, std::ostream* out) {
  *out << "batch=" << s.batch_size << ",guessed=" << s.speculative_tokens << ",pages=" << s.pages
       << (s.prefix_cache ? ",prefix_cache" : "");
}

class Speculation : public testing::TestWithParam<Shape> {};

TEST_P(Speculation, DrawsWhatIsDrawnWithout) {
  const Shape s = GetParam();
  const auto model = repetitive_model();
  Collector collector;
  const auto engine = make(model, {.max_batch_size = s.batch_size,
                                   .num_pages = s.pages,
                                   .prefix_cache = s.prefix_cache,
                                   .speculative_tokens = s.speculative_tokens});
  const auto requests = repetitive_requests(24, 200);
  std::vector<RequestId> ids;
  std::int64_t tokens = 0;
  for (const Request& request : requests) ids.push_back(*engine->submit(request, collector.sink()));
  for (std::size_t i = 0; i < ids.size(); ++i) {
    const auto reply = collector.wait(ids[i]);
    EXPECT_EQ(reply.finish, FinishReason::kLength);
    EXPECT_EQ(reply.events_after_end, 0);
    EXPECT_EQ(reply.tokens, fake_reply(requests[i].prompt, requests[i].sampling, requests[i].max_tokens, kVocab)) << i;
    EXPECT_EQ(reply.logprobs.size(), reply.tokens.size());
    tokens += requests[i].max_tokens;
  }
  const Stats stats = engine->stats();
  EXPECT_EQ(stats.running, 0);
  EXPECT_EQ(stats.generated_tokens, tokens);
  EXPECT_GT(stats.accepted_tokens, 50);
  EXPECT_GT(stats.draft_tokens, stats.accepted_tokens);
  EXPECT_GE(stats.draft_tokens, stats.drafts);
  if (s.pages < 10) {
    EXPECT_GT(stats.preemptions, 0);
  }
}

INSTANTIATE_TEST_SUITE_P(Shapes, Speculation,
                         testing::Values(Shape{1, 8, 200, false}, Shape{1, 8, 200, true}, Shape{1, 2, 200, true},
                                         Shape{3, 8, 200, true}, Shape{3, 8, 7, true}, Shape{4, 17, 12, true}));

TEST(SpeculationOff, RunsOneTokenAStep) {
  const auto model = repetitive_model();
  Collector collector;
  const auto engine = make(model, {.num_pages = 100});
  auto request = repetitive_requests(1, 1).front();
  request.max_tokens = 100;
  collector.wait(*engine->submit(request, collector.sink()));
  EXPECT_EQ(model->runs, 100);
  EXPECT_EQ(engine->stats().drafts, 0);
}

// A model that repeats itself: nearly all that is guessed is right.
TEST(SpeculationOn, TakesFewerStepsForWhatRepeats) {
  const auto model = repetitive_model();
  model->after_run = [](std::span<float> logits) { logits[2] = 100; };
  Collector collector;
  const auto engine = make(model, {.max_batch_size = 1, .num_pages = 100, .speculative_tokens = 8});
  Request request{.prompt = {2, 2, 2, 2}, .sampling = {.temperature = 0}, .max_tokens = 200};
  const auto reply = collector.wait(*engine->submit(request, collector.sink()));
  EXPECT_EQ(reply.tokens, std::vector<std::int32_t>(200, 2));
  EXPECT_LT(model->runs, 40);
  EXPECT_LE(model->most_tokens, 8);
}

// What ends a reply ends it within a guess as elsewhere.
TEST(SpeculationOn, StopsAtAStopTokenWithinAGuess) {
  const auto model = repetitive_model();
  Collector collector;
  const auto engine = make(model, {.max_batch_size = 1, .num_pages = 100, .speculative_tokens = 8});
  int stopped = 0;
  for (auto& request : repetitive_requests(40, 200)) {
    request.stop_token_ids = {3};
    request.min_tokens = 20;
    const auto reply = collector.wait(*engine->submit(request, collector.sink()));
    // The same by an engine that guesses nothing.
    const auto plain = make(repetitive_model(), {.max_batch_size = 1, .num_pages = 100});
    Collector other;
    const auto expected = other.wait(*plain->submit(request, other.sink()));
    EXPECT_EQ(reply.tokens, expected.tokens);
    EXPECT_EQ(reply.finish, expected.finish);
    EXPECT_EQ(reply.events_after_end, 0);
    stopped += reply.finish == FinishReason::kStop;
  }
  EXPECT_GT(stopped, 10);
  EXPECT_GT(engine->stats().accepted_tokens, 40);
  expect_all_pages_free(*engine);
}

TEST(SpeculationOn, LeavesRequestsWithPenaltiesAlone) {
  const auto model = repetitive_model();
  Collector collector;
  const auto engine = make(model, {.max_batch_size = 1, .num_pages = 100, .speculative_tokens = 8});
  auto request = repetitive_requests(1, 1).front();
  request.max_tokens = 100;
  request.sampling.frequency_penalty = 0.1f;
  collector.wait(*engine->submit(request, collector.sink()));
  EXPECT_EQ(engine->stats().drafts, 0);
}

}  // namespace
}  // namespace tenon::engine
