// What the engine's tests share: a subscriber, a brake for the engine thread, random requests.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <random>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "engine/engine.h"
#include "engine/fake_executable.h"

namespace tenon::engine {

using namespace std::chrono_literals;

// Collects events of any number of requests. Outlives the engine, so it is declared first.
class Collector {
 public:
  struct Reply {
    std::vector<std::int32_t> tokens;
    FinishReason finish = FinishReason::kNone;
    std::string error;
    std::vector<sampler::TokenLogprobs> logprobs, prompt_logprobs;
    int events_after_end = 0;
  };

  Collector() : sink_(std::make_shared<Sink>([this](std::span<const TokenEvent> events) { take(events); })) {}

  std::shared_ptr<Sink> sink() const { return sink_; }

  Reply wait(RequestId id) {
    std::unique_lock lock(mutex_);
    const bool ended = changed_.wait_for(lock, 60s, [&] { return replies_[id].finish != FinishReason::kNone; });
    EXPECT_TRUE(ended) << "request " << id << " does not end";
    return replies_[id];
  }
  void wait_for_tokens(RequestId id, std::size_t count) {
    std::unique_lock lock(mutex_);
    EXPECT_TRUE(changed_.wait_for(lock, 60s, [&] { return replies_[id].tokens.size() >= count; }));
  }
  Reply get(RequestId id) {
    const std::lock_guard lock(mutex_);
    return replies_[id];
  }
  int calls() {
    const std::lock_guard lock(mutex_);
    return calls_;
  }

 private:
  void take(std::span<const TokenEvent> events) {
    const std::lock_guard lock(mutex_);
    ++calls_;
    for (const auto& event : events) {
      Reply& reply = replies_[event.id];
      if (reply.finish != FinishReason::kNone) ++reply.events_after_end;
      if (event.token >= 0) reply.tokens.push_back(event.token);
      reply.prompt_logprobs.insert(reply.prompt_logprobs.end(), event.prompt_logprobs.begin(),
                                   event.prompt_logprobs.end());
      if (event.logprobs) reply.logprobs.push_back(*event.logprobs);
      reply.finish = event.finish;
      reply.error = event.error;
    }
    changed_.notify_all();
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::map<RequestId, Reply> replies_;
  int calls_ = 0;
  std::shared_ptr<Sink> sink_;
};

// Holds the engine thread inside run() until it is let go, one run at a time.
class Gate {
 public:
  void pass() {
    std::unique_lock lock(mutex_);
    ++arrived_;
    changed_.notify_all();
    changed_.wait(lock, [&] { return open_ || permits_ > 0; });
    if (permits_ > 0) --permits_;
  }
  void wait_for_arrival(int count) {
    std::unique_lock lock(mutex_);
    EXPECT_TRUE(changed_.wait_for(lock, 60s, [&] { return arrived_ >= count; }));
  }
  void let(int count) {
    const std::lock_guard lock(mutex_);
    permits_ += count;
    changed_.notify_all();
  }
  void open() {
    const std::lock_guard lock(mutex_);
    open_ = true;
    changed_.notify_all();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  int arrived_ = 0, permits_ = 0;
  bool open_ = false;
};

inline std::vector<std::int32_t> random_prompt(std::mt19937& random, std::size_t length) {
  std::vector<std::int32_t> prompt(length);
  for (auto& token : prompt) token = static_cast<std::int32_t>(random() % 97);
  return prompt;
}

inline std::vector<Request> random_requests(unsigned seed, int count, unsigned longest_prompt, unsigned longest_reply) {
  std::mt19937 random(seed);
  std::vector<Request> requests;
  for (int i = 0; i < count; ++i) {
    Request request{.prompt = random_prompt(random, 1 + random() % longest_prompt),
                    .max_tokens = static_cast<std::int64_t>(1 + random() % longest_reply)};
    if (i % 2) {
      request.sampling = {.temperature = 1.5f, .top_p = 0.95f, .seed = random()};
    } else {
      request.sampling.temperature = 0;
    }
    requests.push_back(std::move(request));
  }
  return requests;
}

inline std::unique_ptr<Engine> make(std::shared_ptr<FakeExecutable> model, Options options, int threads = 2) {
  auto engine = Engine::create(std::move(model), options, threads);
  EXPECT_TRUE(engine) << engine.error().message;
  return std::move(*engine);
}

inline void expect_all_pages_free(const Engine& engine) {
  const auto stats = engine.stats();
  EXPECT_EQ(stats.pages_used, 0);
  EXPECT_EQ(stats.running, 0);
  EXPECT_EQ(stats.waiting, 0);
}

}  // namespace tenon::engine
