#include "engine/engine.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <future>
#include <limits>
#include <numeric>
#include <random>
#include <stdexcept>
#include <thread>

#include "engine/engine_loop.h"
#include "engine/fake_executable.h"
#include "engine/test_support.h"

namespace tenon::engine {
namespace {

using testing::HasSubstr;

TEST(Engine, StopTokensEndAReplyAndAreReported) {
  Collector collector;
  const auto engine = make(std::make_shared<FakeExecutable>(), {.num_pages = 10});
  const std::vector<std::int32_t> prompt{1, 2, 3};
  const sampler::SamplingParams greedy{.temperature = 0};
  const auto full = fake_reply(prompt, greedy, 20);
  const auto id = *engine->submit({.prompt = prompt, .sampling = greedy, .max_tokens = 20, .stop_token_ids = {full[5]}},
                                  collector.sink());
  const auto reply = collector.wait(id);
  EXPECT_EQ(reply.finish, FinishReason::kStop);
  const auto first = std::ranges::find(full, full[5]) - full.begin();
  EXPECT_EQ(reply.tokens, std::vector(full.begin(), full.begin() + first + 1));
}

TEST(Engine, TheContextLimitsPromptAndReply) {
  Collector collector;
  const auto engine = make(std::make_shared<FakeExecutable>(), {.max_length = 100, .num_pages = 10});
  const auto submit = [&](std::size_t length) {
    return engine->submit({.prompt = std::vector<std::int32_t>(length, 1), .max_tokens = 1000}, collector.sink());
  };
  const auto refused = submit(100);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kTooLong);
  EXPECT_THAT(refused.error().message,
              HasSubstr("has 100 tokens, but this model's maximum context length is 100 tokens"));
  const auto reply = collector.wait(*submit(90));
  EXPECT_EQ(reply.finish, FinishReason::kLength);
  EXPECT_EQ(reply.tokens.size(), 10u);
}

TEST(Engine, BadRequestsAreRefused) {
  Collector collector;
  const auto engine = make(std::make_shared<FakeExecutable>(), {.num_pages = 1});
  const auto error = [&](Request request) {
    const auto id = engine->submit(std::move(request), collector.sink());
    return id ? Error{ErrorCode::kInternal, "accepted"} : id.error();
  };
  EXPECT_EQ(error({.prompt = {}, .max_tokens = 1}).code, ErrorCode::kInvalidArgument);
  EXPECT_THAT(error({.prompt = {97}, .max_tokens = 1}).message, HasSubstr("token id 97 is outside"));
  EXPECT_THAT(error({.prompt = {-1}, .max_tokens = 1}).message, HasSubstr("token id -1 is outside"));
  EXPECT_EQ(error({.prompt = {1}, .max_tokens = -1}).param, "max_tokens");
  EXPECT_EQ(error({.prompt = {1}, .sampling = {.logit_bias = {{97, 1.0f}}}, .max_tokens = 1}).param, "logit_bias");
  EXPECT_EQ(error({.prompt = {1}, .sampling = {.top_p = 2}, .max_tokens = 1}).param, "top_p");
  EXPECT_THAT(error({.prompt = std::vector<std::int32_t>(64, 1), .max_tokens = 1}).message, HasSubstr("KV cache"));
}

TEST(Engine, OptionsBeyondTheExecutableAreRefused) {
  auto model = std::make_shared<FakeExecutable>(
      runtime::Limits{.max_total_tokens = 32, .max_rows = 4, .max_sampled_rows = 4, .max_pages_per_row = 2});
  const Options good{.max_batch_size = 4, .max_batch_tokens = 32, .num_pages = 4};
  const auto param = [&](auto change) {
    Options options = good;
    change(options);
    const auto engine = Engine::create(model, options, 1);
    return engine ? std::string() : engine.error().param;
  };
  EXPECT_EQ(param([](Options&) {}), "");
  EXPECT_EQ(param([](Options& o) { o.max_batch_size = 5; }), "max_batch_size");
  EXPECT_EQ(param([](Options& o) { o.max_batch_tokens = 33; }), "max_batch_tokens");
  EXPECT_EQ(param([](Options& o) { o.max_batch_tokens = 3; }), "max_batch_size");
  EXPECT_EQ(param([](Options& o) { o.max_length = 129; }), "max_length");
  EXPECT_EQ(param([](Options& o) { o.num_pages = 0; }), "num_pages");
  EXPECT_EQ((*Engine::create(model, good, 1))->options().max_length, 128);
}

TEST(Engine, PacksWeightsWhileNothingIsToBeDone) {
  const auto model = std::make_shared<FakeExecutable>();
  model->unpacked = 100;
  const auto engine = make(model, {.num_pages = 10});
  for (int i = 0; i < 6000 && model->unpacked > 0; ++i) std::this_thread::sleep_for(10ms);
  EXPECT_EQ(model->unpacked, 0);
}

TEST(Engine, RepliesGoOnWhileWeightsArePacked) {
  Collector collector;
  const auto model = std::make_shared<FakeExecutable>();
  model->unpacked = 100;
  Gate idle;
  // The first piece, of an engine without requests, waits until there is one.
  model->before_pack = [&] {
    if (model->unpacked == 100) idle.pass();
  };
  std::vector<std::int64_t> unpacked;  // at each step
  model->before_run = [&] { unpacked.push_back(model->unpacked); };
  {
    const auto engine = make(model, {.num_pages = 10});
    idle.wait_for_arrival(1);
    const sampler::SamplingParams greedy{.temperature = 0};
    const auto id = *engine->submit({.prompt = {1, 2}, .sampling = greedy, .max_tokens = 20}, collector.sink());
    idle.open();
    EXPECT_EQ(collector.wait(id).tokens, fake_reply({1, 2}, greedy, 20));
  }
  ASSERT_EQ(unpacked.size(), 20u);
  EXPECT_EQ(unpacked.front(), 90) << "a request waits for no more than the piece at hand";
  for (std::size_t i = 1; i < unpacked.size(); ++i) {
    EXPECT_TRUE(unpacked[i] < unpacked[i - 1] || unpacked[i] == 0) << "each step is followed by a piece";
  }
}

TEST(Engine, SaysHowMuchMemoryItsCacheNeeds) {
  const auto engine =
      Engine::create(std::make_shared<FakeExecutable>(), {.num_pages = std::numeric_limits<std::int32_t>::max()}, 1);
  ASSERT_FALSE(engine);
  EXPECT_EQ(engine.error().code, ErrorCode::kResourceExhausted);
  EXPECT_THAT(engine.error().message, HasSubstr("needs 2097152 MiB"));
}

TEST(Engine, TheSecondPromptComesFromTheCacheAndAnswersTheSame) {
  Collector collector;
  auto model = std::make_shared<FakeExecutable>();
  const auto engine = make(model, {.max_batch_size = 2, .num_pages = 16});
  std::mt19937 random(3);
  const Request request{.prompt = random_prompt(random, 200), .sampling = {.temperature = 0}, .max_tokens = 20};
  const auto first = collector.wait(*engine->submit(request, collector.sink()));
  EXPECT_EQ(engine->stats().prefix_cache_hits, 0);
  const auto second = collector.wait(*engine->submit(request, collector.sink()));
  EXPECT_EQ(second.tokens, first.tokens);
  EXPECT_EQ(engine->stats().prefix_cache_hits, 199);
  EXPECT_EQ(engine->stats().prefix_cache_queries, 400);
  expect_all_pages_free(*engine);
}

TEST(Engine, ARequestEndsAtItsDeadlineWhetherItRunsOrWaits) {
  Collector collector;
  auto model = std::make_shared<FakeExecutable>();
  std::atomic<std::int64_t> seconds{0};
  auto engine = Engine::create(model, {.max_batch_size = 1, .num_pages = 10}, 1,
                               [&] { return TimePoint{} + std::chrono::seconds(seconds.load()); });
  ASSERT_TRUE(engine);
  Gate gate;
  model->before_run = [&] { gate.pass(); };
  const auto running = *(*engine)->submit({.prompt = {1, 2}, .max_tokens = 500, .timeout = 10}, collector.sink());
  const auto waiting = *(*engine)->submit({.prompt = {3}, .max_tokens = 500, .timeout = 5}, collector.sink());
  const auto patient = *(*engine)->submit({.prompt = {4}, .max_tokens = 3}, collector.sink());
  gate.wait_for_arrival(1);
  seconds = 7;
  gate.let(2);
  EXPECT_EQ(collector.wait(waiting).finish, FinishReason::kTimeout);
  EXPECT_EQ(collector.get(running).finish, FinishReason::kNone);
  seconds = 11;
  gate.open();
  EXPECT_EQ(collector.wait(running).finish, FinishReason::kTimeout);
  EXPECT_EQ(collector.wait(patient).finish, FinishReason::kLength);
  EXPECT_EQ((*engine)->stats().requests_timed_out, 2);
  expect_all_pages_free(**engine);
  EXPECT_EQ((*engine)->submit({.prompt = {1}, .max_tokens = 1, .timeout = -1}, collector.sink()).error().param,
            "timeout");
}

TEST(Engine, CancelEndsWithinOneStepAndReturnsPages) {
  Collector collector;
  auto model = std::make_shared<FakeExecutable>();
  Gate gate;
  model->before_run = [&] { gate.pass(); };
  const auto engine = make(model, {.max_batch_size = 1, .num_pages = 10});
  const auto running = *engine->submit({.prompt = {1, 2}, .max_tokens = 500}, collector.sink());
  const auto waiting = *engine->submit({.prompt = {3}, .max_tokens = 500}, collector.sink());
  gate.let(3);
  gate.wait_for_arrival(4);  // the fourth step is on its way
  EXPECT_EQ(engine->stats().running, 1);
  EXPECT_EQ(engine->stats().waiting, 1);
  EXPECT_EQ(engine->stats().pages_used, 1);
  engine->cancel(waiting);
  engine->cancel(running);
  engine->cancel(running);
  engine->cancel(12345);
  gate.let(1);
  EXPECT_EQ(collector.wait(running).finish, FinishReason::kCancelled);
  EXPECT_EQ(collector.wait(waiting).finish, FinishReason::kCancelled);
  EXPECT_EQ(collector.get(running).tokens.size(), 4u);
  EXPECT_EQ(collector.get(waiting).tokens.size(), 0u);
  engine->cancel(running);  // long gone
  gate.open();
  const auto next = *engine->submit({.prompt = {4}, .max_tokens = 2}, collector.sink());
  EXPECT_EQ(collector.wait(next).finish, FinishReason::kLength);
  expect_all_pages_free(*engine);
  EXPECT_EQ(collector.get(running).events_after_end, 0);
  EXPECT_EQ(engine->stats().requests_cancelled, 2);
}

TEST(Engine, FinishEndsAReplyThatIsLongEnough) {
  std::promise<FinishReason> end;
  int tokens = 0;
  const auto engine = make(std::make_shared<FakeExecutable>(), {.num_pages = 100});
  auto sink = std::make_shared<Sink>([&](std::span<const TokenEvent> events) {
    if (events.back().finish != FinishReason::kNone) return end.set_value(events.back().finish);
    if (++tokens == 3) engine->finish(events.back().id);
  });
  ASSERT_TRUE(engine->submit({.prompt = {1}, .max_tokens = 5000}, sink));
  auto reason = end.get_future();
  ASSERT_EQ(reason.wait_for(60s), std::future_status::ready);
  EXPECT_EQ(reason.get(), FinishReason::kStop);
  EXPECT_EQ(tokens, 3);
  EXPECT_EQ(engine->stats().requests_finished, 1);
  EXPECT_EQ(engine->stats().requests_cancelled, 0);
}

TEST(Engine, EveryStepIsCountedWithItsTokens) {
  Collector collector;
  const auto engine = make(std::make_shared<FakeExecutable>(), {.max_batch_size = 4, .num_pages = 10});
  for (int i = 0; i < 2; ++i) {  // the second time from the prefix cache
    collector.wait(*engine->submit({.prompt = std::vector<std::int32_t>(20, 1), .max_tokens = 3}, collector.sink()));
  }
  const Stats stats = engine->stats();
  EXPECT_EQ(stats.step_tokens.tokens, stats.prompt_tokens + stats.generated_tokens);
  EXPECT_EQ(stats.step_tokens.tokens, 46);
  EXPECT_EQ(std::accumulate(stats.step_tokens.steps.begin(), stats.step_tokens.steps.end(), std::int64_t{0}),
            stats.steps);
  EXPECT_EQ(stats.step_tokens.steps[0], 4);  // of one token
  EXPECT_EQ(stats.step_tokens.steps[3], 2);  // of 17 to 32
}

TEST(Engine, AFullQueueRefuses) {
  Collector collector;
  auto model = std::make_shared<FakeExecutable>();
  Gate gate;
  model->before_run = [&] { gate.pass(); };
  const auto engine = make(model, {.max_batch_size = 1, .num_pages = 10, .max_queue_size = 2});
  const auto submit = [&] { return engine->submit({.prompt = {1}, .max_tokens = 2}, collector.sink()); };
  std::vector ids{*submit()};
  gate.wait_for_arrival(1);
  ids.push_back(*submit());
  ids.push_back(*submit());
  const auto refused = submit();
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kResourceExhausted);
  gate.open();
  for (const auto id : ids) EXPECT_EQ(collector.wait(id).finish, FinishReason::kLength);
  EXPECT_TRUE(submit());
}

TEST(Engine, RequestsThatBelongTogetherAreTakenAllOrNone) {
  Collector collector;
  const auto engine =
      make(std::make_shared<FakeExecutable>(), {.max_batch_size = 1, .num_pages = 10, .max_queue_size = 2});
  std::vector<Submission> several;
  for (int i = 0; i < 5; ++i) several.push_back({{.prompt = {1}, .max_tokens = 2}, collector.sink()});
  several.back().request.prompt = {-1};
  EXPECT_EQ(engine->submit_all(several).error().code, ErrorCode::kInvalidArgument);
  several.back().request.prompt = {1};
  const auto ids = engine->submit_all(several);
  ASSERT_TRUE(ids);
  for (const auto id : *ids) EXPECT_EQ(collector.wait(id).finish, FinishReason::kLength);
  EXPECT_EQ(engine->stats().requests_started, 5);
  EXPECT_EQ(engine->stats().requests_cancelled, 0);
}

TEST(Engine, DrainFinishesWhatWasTaken) {
  Collector collector;
  auto model = std::make_shared<FakeExecutable>();
  Gate gate;
  model->before_run = [&] { gate.pass(); };
  const auto engine = make(model, {.max_batch_size = 1, .num_pages = 10});
  const auto a = *engine->submit({.prompt = {1}, .max_tokens = 5}, collector.sink());
  const auto b = *engine->submit({.prompt = {2}, .max_tokens = 5}, collector.sink());
  engine->drain();
  const auto refused = engine->submit({.prompt = {1}, .max_tokens = 5}, collector.sink());
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kUnavailable);
  gate.open();
  EXPECT_EQ(collector.wait(a).finish, FinishReason::kLength);
  EXPECT_EQ(collector.wait(b).finish, FinishReason::kLength);
}

TEST(Engine, DestructionEndsEverything) {
  Collector collector;
  auto model = std::make_shared<FakeExecutable>();
  model->before_run = [] { std::this_thread::sleep_for(2ms); };
  auto engine = make(model, {.max_batch_size = 1, .num_pages = 100});
  const auto running = *engine->submit({.prompt = {1}, .max_tokens = 1000000}, collector.sink());
  const auto waiting = *engine->submit({.prompt = {2}, .max_tokens = 5}, collector.sink());
  collector.wait_for_tokens(running, 2);
  engine.reset();
  EXPECT_EQ(collector.get(running).finish, FinishReason::kCancelled);
  EXPECT_EQ(collector.get(waiting).finish, FinishReason::kCancelled);
}

TEST(Engine, UnusableLogitsEndOneRequestOnly) {
  Collector collector;
  auto model = std::make_shared<FakeExecutable>();
  const std::vector<std::int32_t> bad{7, 7}, good{8, 8};
  const sampler::SamplingParams greedy{.temperature = 0};
  std::vector<float> poisoned(97);
  fake_logits(bad, poisoned);
  model->after_run = [&](std::span<float> row) {
    if (std::ranges::equal(row, poisoned)) std::ranges::fill(row, std::numeric_limits<float>::quiet_NaN());
  };
  const auto engine = make(model, {.num_pages = 10});
  const auto a = *engine->submit({.prompt = bad, .sampling = greedy, .max_tokens = 9}, collector.sink());
  const auto b = *engine->submit({.prompt = good, .sampling = greedy, .max_tokens = 9}, collector.sink());
  EXPECT_EQ(collector.wait(a).finish, FinishReason::kError);
  EXPECT_THAT(collector.wait(a).error, HasSubstr("NaN"));
  EXPECT_EQ(collector.wait(b).tokens, fake_reply(good, greedy, 9));
  EXPECT_EQ(engine->stats().requests_failed, 1);
  expect_all_pages_free(*engine);
}

TEST(Engine, AnExceptionInSamplingEndsOneRequestOnly) {
  Collector collector;
  auto model = std::make_shared<FakeExecutable>();
  const Options options{
      .max_batch_size = 8, .max_batch_tokens = 64, .prefill_chunk = 64, .max_length = 128, .num_pages = 10};
  auto kv = *HugeBuffer::allocate(static_cast<std::size_t>(10 * model->kv_layout().page_bytes()), "a test");
  EngineLoop engine(
      model, options, std::move(kv), 2, steady_clock(),
      +[](std::span<const float> logits, const sampler::SamplingParams& params, std::int64_t position,
          sampler::Scratch& scratch, const sampler::Constraints& constraints) {
        if (params.seed == 13 && position == 4) throw std::runtime_error("unlucky");
        return sampler::sample(logits, params, position, scratch, constraints);
      });
  const auto a = *engine.submit({.prompt = {1, 2}, .sampling = {.seed = 13}, .max_tokens = 9}, collector.sink());
  const auto b = *engine.submit({.prompt = {1, 2}, .sampling = {.seed = 14}, .max_tokens = 9}, collector.sink());
  EXPECT_EQ(collector.wait(a).finish, FinishReason::kError);
  EXPECT_EQ(collector.wait(a).tokens.size(), 2u);
  EXPECT_EQ(collector.wait(a).error, "sampling failed: unlucky");
  EXPECT_EQ(collector.wait(b).tokens, fake_reply({1, 2}, {.seed = 14}, 9));
}

TEST(Engine, AFailingSubscriberHarmsNoOneElse) {
  std::promise<void> cancelled;
  Collector collector;
  const auto engine = make(std::make_shared<FakeExecutable>(), {.num_pages = 10});
  auto failing = std::make_shared<Sink>([&](std::span<const TokenEvent> events) {
    if (events.back().finish == FinishReason::kCancelled) return cancelled.set_value();
    throw std::runtime_error("no");
  });
  ASSERT_TRUE(engine->submit({.prompt = {1}, .max_tokens = 5000}, failing));
  const auto b = *engine->submit({.prompt = {2}, .sampling = {.seed = 3}, .max_tokens = 20}, collector.sink());
  EXPECT_EQ(collector.wait(b).tokens, fake_reply({2}, {.seed = 3}, 20));
  EXPECT_EQ(cancelled.get_future().wait_for(60s), std::future_status::ready);
}

TEST(Engine, OneCallAStepForEachSubscriber) {
  Collector one, other;
  auto model = std::make_shared<FakeExecutable>();
  Gate gate;
  model->before_run = [&] { gate.pass(); };
  const auto engine = make(model, {.num_pages = 100});
  std::vector<RequestId> ids;
  for (int i = 0; i < 8; ++i) ids.push_back(*engine->submit({.prompt = {i}, .max_tokens = 5}, one.sink()));
  const auto id = *engine->submit({.prompt = {50}, .max_tokens = 5}, other.sink());
  gate.open();
  for (const auto i : ids) one.wait(i);
  other.wait(id);
  EXPECT_LE(one.calls(), 6);  // the first step may have started with some of them only
  EXPECT_EQ(other.calls(), 5);
}

TEST(Engine, LogprobsComeWhereAskedFor) {
  Collector collector;
  const auto engine = make(std::make_shared<FakeExecutable>(), {.num_pages = 10});
  const auto a = *engine->submit({.prompt = {1}, .sampling = {.top_logprobs = 3}, .max_tokens = 4}, collector.sink());
  const auto b = *engine->submit({.prompt = {1}, .max_tokens = 4}, collector.sink());
  const auto reply = collector.wait(a);
  ASSERT_EQ(reply.logprobs.size(), 4u);
  EXPECT_LT(reply.logprobs[0].logprob, 0);
  EXPECT_EQ(reply.logprobs[0].top.size(), 3u);
  EXPECT_TRUE(collector.wait(b).logprobs.empty());
}

TEST(Engine, SinksMaySubmitAndCancel) {
  Collector collector;
  std::promise<RequestId> second;
  const auto engine = make(std::make_shared<FakeExecutable>(), {.num_pages = 10});
  auto chain = std::make_shared<Sink>([&](std::span<const TokenEvent> events) {
    if (events.back().finish == FinishReason::kCancelled) {
      second.set_value(*engine->submit({.prompt = {2}, .max_tokens = 3}, collector.sink()));
    } else {
      engine->cancel(events.back().id);
    }
  });
  ASSERT_TRUE(engine->submit({.prompt = {1}, .max_tokens = 5000}, chain));
  auto id = second.get_future();
  ASSERT_EQ(id.wait_for(60s), std::future_status::ready);
  EXPECT_EQ(collector.wait(id.get()).tokens.size(), 3u);
}

TEST(Engine, AnIdleEngineUsesNoCpu) {
  Collector collector;
  const auto engine = make(std::make_shared<FakeExecutable>(), {.num_pages = 10});
  collector.wait(*engine->submit({.prompt = {1}, .max_tokens = 5}, collector.sink()));
  std::this_thread::sleep_for(20ms);  // the pool's spin ends
  const auto cpu = [] {
    rusage usage{};
    getrusage(RUSAGE_SELF, &usage);
    return static_cast<double>(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           1e-6 * static_cast<double>(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec);
  };
  const double before = cpu();
  std::this_thread::sleep_for(300ms);
  EXPECT_LT(cpu() - before, 0.02);
}

// Many clients at once, some of which hang up: the data races are for the thread sanitizer to find.
TEST(Engine, ManyThreadsSubmitAndCancel) {
  const auto engine = make(std::make_shared<FakeExecutable>(), {.max_batch_size = 8, .num_pages = 30});
  std::vector<std::thread> clients;
  for (unsigned c = 0; c < 4; ++c) {
    clients.emplace_back([&, c] {
      std::mt19937 random(c);
      Collector collector;
      for (int i = 0; i < 25; ++i) {
        Request request{.prompt = random_prompt(random, 1 + random() % 200),
                        .sampling = {.seed = random()},
                        .max_tokens = static_cast<std::int64_t>(1 + random() % 30)};
        const auto expected = fake_reply(request.prompt, request.sampling, request.max_tokens);
        const auto id = *engine->submit(request, collector.sink());
        if (random() % 3 == 0) engine->cancel(id);
        engine->stats();
        const auto reply = collector.wait(id);
        if (reply.finish == FinishReason::kLength) {
          EXPECT_EQ(reply.tokens, expected);
        } else {
          EXPECT_EQ(reply.finish, FinishReason::kCancelled);
        }
      }
    });
  }
  for (auto& client : clients) client.join();
  expect_all_pages_free(*engine);
}

}  // namespace
}  // namespace tenon::engine
