#include "engine/encoder_loop.h"

#include <algorithm>
#include <exception>
#include <string>
#include <utility>

#include "base/check.h"
#include "base/log.h"

namespace tenon::engine {

EncoderLoop::EncoderLoop(std::unique_ptr<Encoder> encoder, Options options)
    : encoder_(std::move(encoder)), options_(options), thread_([this] { loop(); }) {}

EncoderLoop::~EncoderLoop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  thread_.join();
}

// -- what other threads call

Result<RequestId> EncoderLoop::submit(std::vector<std::vector<std::int32_t>> texts, VectorSink sink) {
  TENON_CHECK(!texts.empty() && sink);
  auto active = std::make_unique<Active>();
  for (std::vector<std::int32_t>& ids : texts) {
    TENON_CHECK(encoder_->check(ids).has_value(), "a text that was not checked");
    active->texts.push_back({.ids = std::move(ids)});
  }
  active->left = active->texts.size();
  active->sink = std::move(sink);
  active->submitted = std::chrono::steady_clock::now();

  const std::lock_guard lock(mutex_);
  if (queued_ >= options_.max_queued_texts) {
    return fail(ErrorCode::kResourceExhausted, "the queue is full: " + std::to_string(queued_) +
                                                   " texts wait, and at most " +
                                                   std::to_string(options_.max_queued_texts) + " may; try again later");
  }
  queued_ += active->left;
  const RequestId id = active->id = next_id_++;
  turns_.push_back(active.get());
  requests_.emplace(id, std::move(active));
  wake_.notify_one();
  return id;
}

void EncoderLoop::cancel(RequestId id) {
  const std::lock_guard lock(mutex_);
  const auto found = requests_.find(id);
  if (found != requests_.end()) found->second->cancelled = any_cancelled_ = true;
}

Stats EncoderLoop::stats() const {
  const std::lock_guard lock(mutex_);
  Stats stats = counters_;
  for (const auto& [id, request] : requests_) ++(request->next == 0 ? stats.waiting : stats.running);
  return stats;
}

// -- the encoder's thread

void EncoderLoop::loop() {
  while (wait_for_work()) {
    plan();
    const TimePoint begin = std::chrono::steady_clock::now();
    if (!parts_.empty()) encoder_->run();
    {
      const std::lock_guard lock(mutex_);
      counters_.run_seconds += seconds_between(begin, std::chrono::steady_clock::now());
      settle();
    }
    publish();
  }
  {
    const std::lock_guard lock(mutex_);
    while (!requests_.empty()) {
      end(*requests_.begin()->second,
          fail(ErrorCode::kUnavailable, "the server stopped before the answer was complete"),
          counters_.requests_cancelled);
    }
  }
  publish();
}

bool EncoderLoop::wait_for_work() {
  std::unique_lock lock(mutex_);
  wake_.wait(lock, [this] { return stopping_ || !requests_.empty(); });
  return !stopping_;
}

// What runs next: the text in hand, then a text of each request in turn, as long as there is room.
void EncoderLoop::plan() {
  const std::lock_guard lock(mutex_);
  end_cancelled();
  parts_.clear();
  if (begun_.text != nullptr) {
    const std::int64_t all = encoder_->run_tokens();
    TENON_CHECK(encoder_->add(*begun_.text, turns_.empty() ? all : (all + 1) / 2, false));
    parts_.push_back(begun_);
  }
  while (!turns_.empty()) {
    Active& request = *turns_.front();
    Encoder::Text& text = request.texts[request.next];
    if (!encoder_->add(text, encoder_->run_tokens(), begun_.text != nullptr)) break;
    if (request.next == 0) {
      ++counters_.requests_started;
      counters_.queue_seconds += seconds_between(request.submitted, std::chrono::steady_clock::now());
    }
    parts_.push_back({&request, &text});
    ++request.next;
    --queued_;
    turns_.pop_front();
    if (request.next < request.texts.size()) turns_.push_back(&request);
  }
  counters_.pages_used = encoder_->page_stats().used;
  counters_.pages_total = encoder_->page_stats().total;
  counters_.page_tokens = static_cast<int>(tensor::kPageTokens);
}

void EncoderLoop::end_cancelled() {
  if (!any_cancelled_) return;
  any_cancelled_ = false;
  std::vector<Active*> cancelled;
  for (const auto& [id, request] : requests_) {
    if (request->cancelled) cancelled.push_back(request.get());
  }
  for (Active* request : cancelled) {
    end(*request, fail(ErrorCode::kCancelled, "the request was cancelled"), counters_.requests_cancelled);
  }
}

void EncoderLoop::settle() {
  const std::int64_t before = counters_.prompt_tokens;
  begun_ = {};
  std::vector<Active*> complete;
  for (const auto& [request, text] : parts_) {
    if (!text->vector) {
      begun_ = {request, text};
    } else {
      counters_.prompt_tokens += static_cast<std::int64_t>(text->ids.size());
      const bool known = std::ranges::find(complete, request) != complete.end();
      if ((--request->left == 0 || !*text->vector) && !known) complete.push_back(request);
    }
  }
  if (!parts_.empty()) {
    ++counters_.steps;
    counters_.step_tokens.add(counters_.prompt_tokens - before);
  }
  for (Active* request : complete) {
    Vectors vectors;
    const Error* error = nullptr;
    for (Encoder::Text& text : request->texts) {
      if (!text.vector) continue;
      if (!*text.vector && error == nullptr) error = &text.vector->error();
      if (*text.vector) vectors.push_back(std::move(**text.vector));
    }
    if (error != nullptr) {
      TENON_LOG_ERROR("an embedding request failed: {}", error->message);
      end(*request, std::unexpected(*error), counters_.requests_failed);
    } else {
      end(*request, std::move(vectors), counters_.requests_finished);
    }
  }
  counters_.pages_used = encoder_->page_stats().used;
}

// Its pages are free from here on.
void EncoderLoop::end(Active& request, Result<Vectors> result, std::int64_t& counter) {
  ++counter;
  ended_.push_back({std::move(request.sink), std::move(result)});
  queued_ -= request.texts.size() - request.next;
  std::erase(turns_, &request);
  if (begun_.request == &request) begun_ = {};
  requests_.erase(request.id);
}

void EncoderLoop::publish() {
  for (auto& [sink, result] : ended_) {
    try {
      sink(std::move(result));
    } catch (const std::exception& exception) {
      TENON_LOG_ERROR("the answer of an embedding request is lost: {}", exception.what());
    }
  }
  ended_.clear();
}

}  // namespace tenon::engine
