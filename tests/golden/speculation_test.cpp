// Guessed tokens change no bit of a reply, of any family: what a wrong guess left in the cache is seen by nobody.
#include <gtest/gtest.h>

#include <future>
#include <random>

#include "cases.h"
#include "engine/engine.h"
#include "loader/loader.h"

namespace tenon::golden {
namespace {

struct Reply {
  std::vector<std::int32_t> tokens;
  std::vector<float> logprobs;
  bool operator==(const Reply&) const = default;
};

// Greedy, with a text that comes three times; and drawn from four tokens, so that three in a row come again and again
// and go on otherwise.
std::vector<engine::Request> requests(std::int64_t vocab) {
  std::mt19937 random(3);
  engine::Request repeats{.sampling = {.temperature = 0, .top_logprobs = 0}, .max_tokens = 100};
  for (int i = 0; i < 24; ++i) {
    repeats.prompt.push_back(i < 8 ? static_cast<std::int32_t>(random() % static_cast<unsigned>(vocab))
                                   : repeats.prompt[repeats.prompt.size() - 8]);
  }
  engine::Request drawn = repeats;
  drawn.max_tokens = 200;
  drawn.sampling.temperature = 2;
  for (const std::int32_t id : {11, 12, 13, 14}) drawn.sampling.logit_bias.emplace_back(id, 100.0f);
  return {repeats, drawn};
}

Reply reply_of(engine::Engine& engine, const engine::Request& request) {
  Reply reply;
  std::promise<void> done;
  const auto sink = std::make_shared<engine::Sink>([&](std::span<const engine::TokenEvent> events) {
    for (const auto& event : events) {
      reply.tokens.push_back(event.token);
      if (event.logprobs) reply.logprobs.push_back(event.logprobs->logprob);
      if (event.finish != engine::FinishReason::kNone) done.set_value();
    }
  });
  EXPECT_TRUE(engine.submit(request, sink));
  done.get_future().wait();
  return reply;
}

class Speculation : public testing::TestWithParam<std::string> {};

TEST_P(Speculation, ChangesNoBit) {
  ThreadPool pool(2);
  const auto model =
      loader::load({.model = TENON_GOLDEN_DIR "/" + GetParam(), .limits = {.max_sampled_rows = 96}}, pool);
  ASSERT_TRUE(model) << model.error().message;
  std::vector<Reply> plain;
  for (const int speculative_tokens : {0, 12}) {
    auto engine = engine::Engine::create(
        model->executable, {.num_pages = 20, .prefix_cache = false, .speculative_tokens = speculative_tokens}, 2);
    ASSERT_TRUE(engine) << engine.error().message;
    std::vector<Reply> replies;
    for (const engine::Request& request : requests(model->vocab_size)) replies.push_back(reply_of(**engine, request));
    if (speculative_tokens == 0) {
      plain = std::move(replies);
    } else {
      EXPECT_TRUE(replies == plain);
      EXPECT_GT((*engine)->stats().draft_tokens, 0);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Families, Speculation, testing::ValuesIn(generative_cases()),
                         [](const auto& test) { return name_of(test.param); });

}  // namespace
}  // namespace tenon::golden
