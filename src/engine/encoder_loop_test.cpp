// The queue of an embedding model, over the fake executable whose states are a hash of all that a row has seen.
#include "engine/encoder_loop.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <future>
#include <limits>
#include <random>

#include "engine/fake_executable.h"
#include "engine/test_support.h"

namespace tenon::engine {
namespace {

using runtime::PoolingMode;
using testing::HasSubstr;
using Ids = std::vector<std::int32_t>;

constexpr runtime::Limits kLimits{
    .max_total_tokens = 64, .max_rows = 4, .max_sampled_rows = 64, .max_pages_per_row = 4};

struct Fixture {
  explicit Fixture(Encoder::Options options = {}, EncoderLoop::Options waiting = {}) : queue(waiting) {
    if (options.vocab_size == 0) options.vocab_size = 97;
    if (options.max_length == 0) options.max_length = 200;
    executable = std::make_shared<FakeExecutable>(kLimits);
    encoder = Encoder::create(executable, options, 1).value();
  }
  EncoderLoop& start() {
    loop = std::make_unique<EncoderLoop>(std::move(encoder), queue);
    return *loop;
  }
  std::shared_ptr<FakeExecutable> executable;
  std::unique_ptr<Encoder> encoder;
  EncoderLoop::Options queue;
  std::unique_ptr<EncoderLoop> loop;
};

/// The answer of one request.
class Answer {
 public:
  VectorSink sink() {
    return [promise = promise_](Result<Vectors> result) { promise->set_value(std::move(result)); };
  }
  Result<Vectors> get() {
    EXPECT_EQ(future_.wait_for(60s), std::future_status::ready) << "no answer";
    return future_.get();
  }
  bool has_come() { return future_.wait_for(0s) == std::future_status::ready; }

 private:
  std::shared_ptr<std::promise<Result<Vectors>>> promise_ = std::make_shared<std::promise<Result<Vectors>>>();
  std::future<Result<Vectors>> future_ = promise_->get_future();
};

std::vector<Ids> random_texts(std::mt19937& random, std::size_t count, std::size_t longest) {
  std::vector<Ids> texts(count);
  for (Ids& ids : texts) {
    ids.resize(1 + random() % longest);
    for (auto& id : ids) id = static_cast<std::int32_t>(random() % 97);
  }
  return texts;
}

TEST(EncoderLoop, ManyRequestsAtOnceAreEachAsIfAlone) {
  for (const PoolingMode mode : {PoolingMode::kMean, PoolingMode::kCls, PoolingMode::kLastToken}) {
    for (const bool whole : {true, false}) {
      const Encoder::Options options{.pooling = {mode, true}, .max_length = whole ? 64 : 200, .whole_texts = whole};
      Fixture alone(options), together(options);
      std::mt19937 random(7);
      std::vector<std::vector<Ids>> requests;
      for (std::size_t i = 0; i < 24; ++i) requests.push_back(random_texts(random, 1 + i % 5, whole ? 64 : 200));
      EncoderLoop& loop = together.start();
      std::vector<Answer> answers(requests.size());
      for (std::size_t i = 0; i < requests.size(); ++i) ASSERT_TRUE(loop.submit(requests[i], answers[i].sink()));
      for (std::size_t i = 0; i < requests.size(); ++i) {
        const auto got = answers[i].get();
        ASSERT_TRUE(got) << got.error().message;
        ASSERT_EQ(got->size(), requests[i].size());
        for (std::size_t t = 0; t < requests[i].size(); ++t) {
          EXPECT_EQ((*got)[t], alone.encoder->encode(std::vector<Ids>{requests[i][t]})->front()) << i << " " << t;
        }
      }
      EXPECT_GT(together.executable->most_rows, 1);
      const Stats stats = loop.stats();
      EXPECT_EQ(stats.requests_finished, static_cast<std::int64_t>(requests.size()));
      EXPECT_EQ(stats.running + stats.waiting + stats.pages_used, 0);
    }
  }
}

TEST(EncoderLoop, AShortRequestDoesNotWaitForALongList) {
  Fixture fixture({.max_length = 64});
  Gate gate;
  int runs = 0, runs_of_one = 0;  // the executable and the sinks are called on the encoder's thread
  fixture.executable->before_run = [&] { gate.pass(), ++runs; };
  EncoderLoop& loop = fixture.start();
  Answer list, one;
  ASSERT_TRUE(loop.submit(std::vector<Ids>(200, Ids(40, 1)), list.sink()));
  gate.wait_for_arrival(1);
  ASSERT_TRUE(loop.submit({Ids(5, 2)}, [&, sink = one.sink()](Result<Vectors> result) {
    runs_of_one = runs;
    sink(std::move(result));
  }));
  gate.open();
  ASSERT_TRUE(one.get());
  ASSERT_TRUE(list.get());
  EXPECT_LE(runs_of_one, 3) << "of " << runs;
  EXPECT_GE(runs, 100);
}

TEST(EncoderLoop, AShortTextDoesNotWaitForALongOne) {
  Fixture fixture({.pooling = {PoolingMode::kLastToken}, .max_length = 200, .whole_texts = false});
  Gate gate;
  fixture.executable->before_run = [&] { gate.pass(); };
  EncoderLoop& loop = fixture.start();
  Answer long_one, short_one;
  ASSERT_TRUE(loop.submit({Ids(200, 1)}, long_one.sink()));
  gate.wait_for_arrival(1);
  ASSERT_TRUE(loop.submit({Ids(30, 2)}, short_one.sink()));
  bool first = false;
  // The sinks run on the encoder's thread, in the order of the answers.
  Answer order;
  ASSERT_TRUE(loop.submit({Ids(2, 3)}, [&, sink = order.sink()](Result<Vectors> result) {
    first = !long_one.has_come();
    sink(std::move(result));
  }));
  gate.open();
  ASSERT_TRUE(order.get());
  ASSERT_TRUE(short_one.get());
  EXPECT_TRUE(first);
  ASSERT_TRUE(long_one.get());
}

TEST(EncoderLoop, AFullQueueRefuses) {
  Fixture fixture({.max_length = 64}, {.max_queued_texts = 10});
  Gate gate;
  fixture.executable->before_run = [&] { gate.pass(); };
  EncoderLoop& loop = fixture.start();
  Answer running, waiting, refused, large;
  ASSERT_TRUE(loop.submit({Ids{1}}, running.sink()));
  gate.wait_for_arrival(1);
  // A request may be larger than the queue, also where it is not the first that waits.
  ASSERT_TRUE(loop.submit({Ids{1}}, waiting.sink()));
  ASSERT_TRUE(loop.submit(std::vector<Ids>(12, Ids{1}), large.sink()));
  const auto id = loop.submit({Ids{1}}, refused.sink());
  ASSERT_FALSE(id);
  EXPECT_EQ(id.error().code, ErrorCode::kResourceExhausted);
  EXPECT_THAT(id.error().message, HasSubstr("13 texts wait, and at most 10 may"));
  EXPECT_EQ(loop.stats().waiting, 2);
  gate.open();
  ASSERT_TRUE(large.get());
  ASSERT_TRUE(waiting.get());
  Answer after;
  ASSERT_TRUE(loop.submit({Ids{1}}, after.sink()));
  ASSERT_TRUE(after.get());
  EXPECT_FALSE(refused.has_come());
}

TEST(EncoderLoop, CancelledBeforeTheNextRun) {
  Fixture fixture({.pooling = {PoolingMode::kLastToken}, .whole_texts = false});
  Gate gate;
  fixture.executable->before_run = [&] { gate.pass(); };
  EncoderLoop& loop = fixture.start();
  Answer begun, waiting, other;
  const auto first = *loop.submit({Ids(200, 1)}, begun.sink());
  gate.wait_for_arrival(1);
  const auto second = *loop.submit({Ids(5, 1), Ids(6, 1)}, waiting.sink());
  ASSERT_TRUE(loop.submit({Ids(7, 1)}, other.sink()));
  loop.cancel(first);
  loop.cancel(second);
  loop.cancel(12345);
  gate.open();
  EXPECT_EQ(begun.get().error().code, ErrorCode::kCancelled);
  EXPECT_EQ(waiting.get().error().code, ErrorCode::kCancelled);
  ASSERT_TRUE(other.get());
  const Stats stats = loop.stats();
  EXPECT_EQ(stats.requests_cancelled, 2);
  EXPECT_EQ(stats.steps, 2);
  EXPECT_EQ(stats.pages_used, 0);
}

TEST(EncoderLoop, AFailureHurtsNoOtherRequest) {
  Fixture fixture({.pooling = {PoolingMode::kLastToken}, .max_length = 64});
  // Whatever ends with this state is broken.
  std::vector<float> broken(97);
  fake_logits(Ids{13}, broken);
  fixture.executable->after_run = [&broken](std::span<float> row) {
    if (std::ranges::equal(row, broken)) row[3] = std::numeric_limits<float>::quiet_NaN();
  };
  const Vectors want = *fixture.encoder->encode(std::vector<Ids>{{1, 2}, {3}});
  EncoderLoop& loop = fixture.start();
  std::vector<Answer> good(8), bad(8);
  for (std::size_t i = 0; i < good.size(); ++i) {
    ASSERT_TRUE(loop.submit({{1, 2}, {3}}, good[i].sink()));
    ASSERT_TRUE(loop.submit({{4}, {13}, {13}, {5}}, bad[i].sink()));
  }
  for (std::size_t i = 0; i < good.size(); ++i) {
    EXPECT_EQ(*good[i].get(), want);
    const auto failed = bad[i].get();
    ASSERT_FALSE(failed);
    EXPECT_EQ(failed.error().code, ErrorCode::kInternal);
    EXPECT_THAT(failed.error().message, HasSubstr("no finite numbers"));
  }
  EXPECT_EQ(loop.stats().requests_failed, 8);
}

TEST(EncoderLoop, ASinkThatThrowsEndsItsRequestOnly) {
  Fixture fixture({.max_length = 64});
  EncoderLoop& loop = fixture.start();
  Answer after;
  ASSERT_TRUE(loop.submit({Ids{1}}, [](Result<Vectors>) { throw std::runtime_error("no"); }));
  ASSERT_TRUE(loop.submit({Ids{2}}, after.sink()));
  EXPECT_TRUE(after.get());
}

TEST(EncoderLoop, WhatIsLeftAtTheEndIsToldSo) {
  Fixture fixture({.max_length = 64});
  Gate gate;
  fixture.executable->before_run = [&] { gate.pass(); };
  Answer running, waiting;
  EncoderLoop& loop = fixture.start();
  ASSERT_TRUE(loop.submit(std::vector<Ids>(9, Ids{1}), running.sink()));
  gate.wait_for_arrival(1);
  ASSERT_TRUE(loop.submit({Ids{1}}, waiting.sink()));
  auto ended = std::async(std::launch::async, [&] { fixture.loop.reset(); });
  std::this_thread::sleep_for(5ms);  // the end is asked for while the first run is held
  gate.open();
  ended.wait();
  EXPECT_EQ(running.get().error().code, ErrorCode::kUnavailable);
  EXPECT_EQ(waiting.get().error().code, ErrorCode::kUnavailable);
}

TEST(Encoder, WhatATextMayBe) {
  const Fixture fixture({.max_length = 64});
  EXPECT_TRUE(fixture.encoder->check(Ids(64, 3)));
  EXPECT_EQ(fixture.encoder->check(Ids()).error().message, "has no tokens");
  EXPECT_THAT(fixture.encoder->check(Ids(65, 3)).error().message,
              HasSubstr("65 tokens, but this model takes at most 64"));
  EXPECT_THAT(fixture.encoder->check(Ids{97}).error().message, HasSubstr("the token id 97, outside"));
  // A text that must be in one run is no longer than a run.
  EXPECT_EQ(Fixture({.max_length = 200}).encoder->max_length(), 64);
  EXPECT_EQ(Fixture({.max_length = 200, .whole_texts = false}).encoder->max_length(), 200);
  EXPECT_EQ(Fixture({.max_length = 1000, .whole_texts = false}).encoder->max_length(), 256);
}

}  // namespace
}  // namespace tenon::engine
