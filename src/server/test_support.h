// What the tests of completions play: a tokenizer, a template, the engine and one HTTP exchange.
#pragma once

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "generate/generator.h"
#include "server/exchange.h"

namespace tenon::server {

// One token a byte.
class Bytes final : public tokenizer::Tokenizer {
 public:
  Result<std::vector<std::int32_t>> encode(std::string_view text, bool) const override {
    return std::vector<std::int32_t>(text.begin(), text.end());
  }
  Result<std::string> decode(std::span<const std::int32_t> ids, bool) const override {
    std::string text;
    for (const auto id : ids) text += static_cast<char>(id);
    return text;
  }
  std::optional<std::int32_t> token_to_id(std::string_view) const override { return std::nullopt; }
  std::optional<std::string> id_to_token(std::int32_t id) const override {
    return std::string(1, static_cast<char>(id));
  }
  bool is_special(std::int32_t) const override { return false; }
  std::int32_t vocab_size() const override { return 128; }
};

class Template final : public chat::ChatTemplate {
 public:
  Result<std::string> render(const chat::RenderInput&, std::int64_t) const override { return std::string("prompt"); }
};

// The test plays the engine thread.
class FakeEngine final : public engine::Engine {
 public:
  Result<std::vector<engine::RequestId>> submit_all(std::vector<engine::Submission> submissions) override {
    most_at_once = std::max(most_at_once, submissions.size());
    std::vector<engine::RequestId> ids;
    for (auto& submission : submissions) {
      if (submission.request.prompt.size() > kMaxLength) return fail(ErrorCode::kTooLong, "too long", "prompt");
    }
    for (auto& submission : submissions) {
      sinks.push_back(std::move(submission.sink));
      prompt_logprobs.push_back(submission.request.prompt_logprobs);
      ids.push_back(sinks.size());
    }
    return ids;
  }
  void cancel(engine::RequestId id) override { cancelled.push_back(id); }
  void finish(engine::RequestId) override {}
  void drain() override {}
  engine::Stats stats() const override { return {}; }
  const engine::Options& options() const override { return options_; }

  void emit(std::size_t request, std::string_view text, engine::FinishReason finish = engine::FinishReason::kStop) {
    for (const char c : text) send(request, {.id = request + 1, .token = c});
    send(request, {.id = request + 1, .finish = finish});
  }
  void send(std::size_t request, const engine::TokenEvent& event) { (*sinks[request])({&event, 1}); }

  static constexpr int kMaxLength = 100000;
  std::vector<std::shared_ptr<engine::Sink>> sinks;
  std::vector<int> prompt_logprobs;  ///< that each asks for
  std::vector<engine::RequestId> cancelled;
  std::size_t most_at_once = 0;

 private:
  engine::Options options_{.max_length = kMaxLength};
};

class FakeExchange final : public Exchange {
 public:
  void respond(int code, std::string text, std::string, Headers) override { status = code, body = std::move(text); }
  void begin_events() override { begun = true; }
  void send_event(const std::string& data, const std::string&) override { events.push_back(data); }
  void end_events() override { ended = true; }
  void on_hang_up(std::function<void()> f) override { hang_up = std::move(f); }
  void post(std::function<void()> f) override {
    if (!deferred) return f();
    const std::lock_guard lock(mutex_);
    posted_.push_back(std::move(f));
    any_.notify_one();
  }
  // Runs what is posted next, as the I/O thread does.
  void run_posted() {
    std::unique_lock lock(mutex_);
    any_.wait(lock, [this] { return !posted_.empty(); });
    const auto next = std::move(posted_.front());
    posted_.pop_front();
    lock.unlock();
    next();
  }

  int status = 0;
  std::string body;
  std::vector<std::string> events;
  bool begun = false, ended = false, deferred = false;
  std::function<void()> hang_up;

 private:
  std::mutex mutex_;
  std::condition_variable any_;
  std::deque<std::function<void()>> posted_;
};

}  // namespace tenon::server
