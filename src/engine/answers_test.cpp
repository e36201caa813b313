// One answer per request, however it is run.
#include <gtest/gtest.h>

#include <ostream>

#include "engine/engine.h"
#include "engine/fake_executable.h"
#include "engine/test_support.h"

namespace tenon::engine {
namespace {

// Submits all at once and compares each reply with the oracle's.
Stats expect_right_replies(Engine& engine, const std::vector<Request>& requests) {
  Collector collector;
  std::vector<RequestId> ids;
  for (const auto& request : requests) {
    const auto id = engine.submit(request, collector.sink());
    EXPECT_TRUE(id) << id.error().message;
    ids.push_back(*id);
  }
  std::int64_t prompt_tokens = 0, reply_tokens = 0;
  for (std::size_t i = 0; i < ids.size(); ++i) {
    const auto reply = collector.wait(ids[i]);
    EXPECT_EQ(reply.finish, FinishReason::kLength);
    EXPECT_EQ(reply.tokens, fake_reply(requests[i].prompt, requests[i].sampling, requests[i].max_tokens)) << i;
    prompt_tokens += static_cast<std::int64_t>(requests[i].prompt.size());
    reply_tokens += requests[i].max_tokens;
  }
  expect_all_pages_free(engine);
  const auto stats = engine.stats();
  EXPECT_EQ(stats.prompt_tokens, prompt_tokens);
  EXPECT_EQ(stats.generated_tokens, reply_tokens);
  EXPECT_EQ(stats.requests_finished, static_cast<std::int64_t>(requests.size()));
  return stats;
}

struct Shape {
  int batch_size, batch_tokens, chunk;
  std::int64_t pages;
  int threads;
};

std::ostream& operator<<(std::ostream& out, const Shape& s) {
  return out << s.batch_size << " rows, " << s.batch_tokens << " tokens, chunks of " << s.chunk << ", " << s.pages
             << " pages, " << s.threads << " threads";
}

class SameAnswer : public testing::TestWithParam<Shape> {};

TEST_P(SameAnswer, AloneBatchedOrChunked) {
  const Shape s = GetParam();
  auto model = std::make_shared<FakeExecutable>();
  const auto engine = make(model,
                           {.max_batch_size = s.batch_size,
                            .max_batch_tokens = s.batch_tokens,
                            .prefill_chunk = s.chunk,
                            .num_pages = s.pages},
                           s.threads);
  const auto stats = expect_right_replies(*engine, random_requests(5, 64, 300, 60));
  EXPECT_LE(model->most_tokens, s.batch_tokens);
  EXPECT_LE(model->most_rows, s.batch_size);
  EXPECT_EQ(stats.steps, model->runs);
  if (s.batch_size == 64 && s.pages > 1000) {
    EXPECT_GT(model->most_rows, 8);
  }
}

INSTANTIATE_TEST_SUITE_P(Shapes, SameAnswer,
                         testing::Values(Shape{1, 512, 512, 2000, 1}, Shape{64, 512, 1, 2000, 1},
                                         Shape{64, 512, 7, 2000, 2}, Shape{64, 512, 64, 2000, 4},
                                         Shape{64, 512, 512, 2000, 2}, Shape{64, 64, 512, 2000, 2},
                                         Shape{64, 512, 512, 7, 2}, Shape{16, 100, 50, 8, 1}));

TEST(Engine, PreemptionChangesNoAnswer) {
  std::int64_t preemptions = 0;
  for (const std::int64_t pages : {6, 9, 16}) {
    const auto engine = make(std::make_shared<FakeExecutable>(), {.prefill_chunk = 50, .num_pages = pages});
    preemptions += expect_right_replies(*engine, random_requests(6, 40, 40, 340)).preemptions;
  }
  EXPECT_GT(preemptions, 30);
}

}  // namespace
}  // namespace tenon::engine
