#include "engine/engine_loop.h"

#include <algorithm>
#include <cstring>
#include <exception>
#include <string>
#include <utility>

#include "base/check.h"
#include "base/log.h"

namespace tenon::engine {
namespace {

batch::Limits batch_limits(const runtime::Limits& limits) {
  return {.max_total_tokens = limits.max_total_tokens,
          .max_rows = limits.max_rows,
          .max_sampled_rows = limits.max_sampled_rows,
          .max_pages_per_row = limits.max_pages_per_row};
}

scheduler::Options scheduler_options(const Options& options, const runtime::Limits& limits, std::int64_t page_bytes) {
  return {.max_rows = options.max_batch_size,
          .max_tokens = options.max_batch_tokens,
          .max_chunk = options.prefill_chunk,
          .max_mixed_prefill = options.mixed_prefill,
          .max_queue_size = options.max_queue_size,
          .extra_logits = limits.max_sampled_rows - options.max_batch_size,
          .max_speculative_tokens = options.speculative_tokens,
          .page_bytes = page_bytes,
          .prefix_cache = options.prefix_cache};
}

std::vector<sampler::Scratch> scratches(int count, std::int64_t vocab_size) {
  std::vector<sampler::Scratch> result;
  for (int i = 0; i < count; ++i) result.emplace_back(vocab_size);
  return result;
}

}  // namespace

EngineLoop::EngineLoop(std::shared_ptr<runtime::Executable> executable, const Options& options, HugeBuffer kv,
                       int threads, Clock clock, SampleFunction sample_function)
    : executable_(std::move(executable)),
      options_(options),
      kv_(std::move(kv)),
      clock_(clock),
      sample_(sample_function),
      pool_(threads),
      builder_(batch_limits(executable_->limits())),
      draws_(static_cast<std::size_t>(executable_->limits().max_sampled_rows)),
      scratches_(scratches(pool_.size(), executable_->vocab_size())),
      pages_(options.num_pages),
      scheduler_(scheduler_options(options, executable_->limits(), executable_->kv_layout().page_bytes()), pages_,
                 std::move(clock)),
      thread_([this] { loop(); }) {}

EngineLoop::~EngineLoop() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_all();
  thread_.join();
}

// -- what other threads call

Status EngineLoop::check(const Request& request) const {
  const auto length = static_cast<std::int64_t>(request.prompt.size());
  if (length == 0) return invalid("the prompt has no tokens", "prompt");
  if (length + std::min<std::int64_t>(request.max_tokens, 1) > options_.max_length) {
    // Clients know by these words, which are OpenAI's and vLLM's, that they must shorten what they send.
    return fail(ErrorCode::kTooLong,
                "the prompt has " + std::to_string(length) + " tokens, but this model's maximum context length is " +
                    std::to_string(options_.max_length) + " tokens with the reply: shorten it",
                "prompt");
  }
  const std::int64_t vocab_size = executable_->vocab_size();
  for (const std::int32_t id : request.prompt) {
    if (id < 0 || id >= vocab_size) {
      return invalid("token id " + std::to_string(id) + " is outside of the vocabulary of " +
                         std::to_string(vocab_size) + " tokens",
                     "prompt");
    }
  }
  if (const auto& allowed = request.sampling.allowed_tokens; !allowed.empty() && allowed.back() >= vocab_size) {
    return invalid("allowed_token_ids has " + std::to_string(allowed.back()) +
                       ", which is outside of the vocabulary of " + std::to_string(vocab_size) + " tokens",
                   "allowed_token_ids");
  }
  if (request.max_tokens < 0) return invalid("max_tokens must not be negative", "max_tokens");
  for (const auto& [id, bias] : request.sampling.logit_bias) {
    if (id >= vocab_size) {
      return invalid("logit_bias has token id " + std::to_string(id) + ", which is outside of the vocabulary of " +
                         std::to_string(vocab_size) + " tokens",
                     "logit_bias");
    }
  }
  if (!(request.timeout >= 0)) return invalid("timeout must be at least 0 seconds (0: none)", "timeout");
  return request.sampling.validate();
}

std::unique_ptr<EngineLoop::Active> EngineLoop::activate(Submission submission) const {
  auto& [request, sink] = submission;
  auto active = std::make_unique<Active>();
  const auto length = static_cast<std::int64_t>(request.prompt.size());
  active->reads_only = request.max_tokens == 0;
  active->max_tokens =
      std::clamp<std::int64_t>(options_.max_length - length, 1, std::max<std::int64_t>(request.max_tokens, 1));
  // What grows during a step has its place before: of a long reply, of its beginning.
  const std::int64_t reply = std::min<std::int64_t>(active->max_tokens, 1024);
  active->tokens = std::move(request.prompt);
  active->tokens.reserve(static_cast<std::size_t>(length + reply));
  active->pages.reserve(length + reply);
  active->sampling = std::move(request.sampling);
  if (drafts_for(*active)) {
    active->draft.reserve(static_cast<std::size_t>(options_.speculative_tokens));
    active->lookup.begin(active->tokens, reply);
  }
  active->stop_token_ids = std::move(request.stop_token_ids);
  active->min_tokens = request.min_tokens;
  active->prompt_logprobs = request.prompt_logprobs;
  if (request.prompt_logprobs >= 0) active->logits_from = 0;
  if (active->sampling.penalizes()) {
    active->history.begin(active->tokens, static_cast<std::size_t>(reply));
  }
  active->matcher = std::move(request.matcher);
  active->sink = std::move(sink);
  active->priority = request.priority;
  active->cache_salt = std::move(request.cache_salt);
  if (request.timeout > 0) active->deadline = later(clock_(), request.timeout);
  return active;
}

Result<std::vector<RequestId>> EngineLoop::submit_all(std::vector<Submission> submissions) {
  for (const auto& [request, sink] : submissions) {
    TENON_CHECK(sink && *sink);
    TENON_TRY(check(request));
  }
  std::vector<std::unique_ptr<Active>> all;
  std::vector<scheduler::Sequence*> sequences;
  for (Submission& submission : submissions) {
    sequences.push_back(all.emplace_back(activate(std::move(submission))).get());
  }

  const std::lock_guard lock(mutex_);
  if (draining_ || stopping_) return fail(ErrorCode::kUnavailable, "the server is shutting down");
  TENON_TRY(scheduler_.submit(sequences));
  std::vector<RequestId> ids;
  for (auto& active : all) {
    ids.push_back(active->id = next_id_++);
    if (active->deadline) deadlines_.emplace(*active->deadline, active->id);
    requests_.emplace(active->id, std::move(active));
  }
  wake_.notify_one();
  return ids;
}

void EngineLoop::end_early(RequestId id, FinishReason reason) {
  const std::lock_guard lock(mutex_);
  if (requests_.contains(id)) ending_.emplace_back(id, reason);
}

void EngineLoop::drain() {
  const std::lock_guard lock(mutex_);
  draining_ = true;
}

Stats EngineLoop::stats() const {
  const std::lock_guard lock(mutex_);
  Stats stats = counters_;
  const auto scheduled = scheduler_.stats();
  stats.running = scheduled.running;
  stats.waiting = scheduled.waiting;
  const bool full = scheduled.hold == scheduler::Hold::kPages || scheduled.hold == scheduler::Hold::kRows;
  stats.waiting_for_capacity = full ? scheduled.waiting : 0;
  stats.preemptions = scheduled.preemptions;
  stats.requests_started = scheduled.started;
  stats.queue_seconds = scheduled.queue_seconds;
  stats.prefix_cache_queries = scheduled.cache_queries;
  stats.prefix_cache_hits = scheduled.cache_hits;
  stats.pages_used = pages_.stats().used;
  stats.pages_total = pages_.stats().total;
  stats.page_tokens = static_cast<int>(tensor::kPageTokens);
  stats.prefix_cache = options_.prefix_cache;
  return stats;
}

// -- the engine thread

void EngineLoop::loop() {
  while (wait_for_work()) {
    const TimePoint begin = clock_();
    step();
    if (executable_->unpacked_bytes() > 0) pack(begin);
  }
  end_all();
}

// Two thirds of the time go to packing: replies go on meanwhile, and all of the model is packed soon.
void EngineLoop::pack(TimePoint begin) {
  const TimePoint now = clock_();
  const double seconds = 2 * seconds_between(begin, now);
  do {
    pack_piece();
  } while (executable_->unpacked_bytes() > 0 && seconds_between(now, clock_()) < seconds);
}

void EngineLoop::pack_piece() {
  executable_->pack_more(pool_);
  if (executable_->unpacked_bytes() == 0) TENON_LOG_INFO("all weights are packed: from here on it runs at full speed");
}

bool EngineLoop::wait_for_work() {
  std::unique_lock lock(mutex_);
  while (!stopping_ && scheduler_.idle() && executable_->unpacked_bytes() > 0) {
    lock.unlock();
    pack_piece();
    lock.lock();
  }
  wake_.wait(lock, [this] { return stopping_ || !scheduler_.idle(); });
  return !stopping_;
}

void EngineLoop::step() {
  const auto work = schedule();
  if (!work.empty()) {
    copy_pages();
    const auto batch = lay_out(work);
    const auto logits = run(batch);
    sample(logits);
    settle(work);
  }
  publish();
}

std::span<const scheduler::Work> EngineLoop::schedule() {
  const std::lock_guard lock(mutex_);
  for (const auto& [id, reason] : ending_) {
    const auto found = requests_.find(id);
    if (found == requests_.end()) continue;  // asked for twice, or it ended first
    post(*found->second, {.id = id, .finish = reason});
    end(*found->second,
        reason == FinishReason::kCancelled ? counters_.requests_cancelled : counters_.requests_finished);
  }
  ending_.clear();
  end_overdue();
  return scheduler_.plan();
}

void EngineLoop::end_overdue() {
  if (deadlines_.empty()) return;
  const TimePoint now = clock_();
  while (!deadlines_.empty() && deadlines_.begin()->first <= now) {
    Active& request = *requests_.at(deadlines_.begin()->second);
    post(request, {.id = request.id, .finish = FinishReason::kTimeout, .cached_tokens = request.cached});
    end(request, counters_.requests_timed_out);
  }
}

// The engine thread alone changes pages while a step runs.
void EngineLoop::copy_pages() {
  const auto bytes = static_cast<std::size_t>(executable_->kv_layout().page_bytes());
  std::byte* const kv = kv_.data();
  for (const scheduler::PageCopy& copy : scheduler_.copies()) {
    std::memcpy(kv + static_cast<std::size_t>(copy.target) * bytes,
                kv + static_cast<std::size_t>(copy.source.id()) * bytes, bytes);
  }
}

tensor::Batch EngineLoop::lay_out(std::span<const scheduler::Work> work) {
  builder_.clear();
  draw_count_ = 0;
  const auto add_draw = [this](scheduler::Sequence& sequence, std::int32_t scored, int ahead) {
    Draw& draw = draws_[draw_count_++];
    draw.request = static_cast<Active*>(&sequence);
    draw.scored = scored;
    draw.ahead = ahead;
  };
  for (const auto& [sequence, begin, count, samples, logits, drafted] : work) {
    const auto tokens = std::span<const std::int32_t>(sequence->tokens)
                            .subspan(static_cast<std::size_t>(begin), static_cast<std::size_t>(count));
    const auto draft = std::span<const std::int32_t>(sequence->draft).first(static_cast<std::size_t>(drafted));
    builder_.add({.tokens = tokens, .draft = draft, .start = begin, .pages = &sequence->pages, .logits = logits});
    for (std::int64_t next = begin + count - logits + 1; next <= begin + count; ++next) {
      const bool sampled = samples && next == begin + count;
      add_draw(*sequence, sampled ? -1 : sequence->tokens[static_cast<std::size_t>(next)], 0);
    }
    for (int ahead = 1; ahead <= drafted; ++ahead) add_draw(*sequence, -1, ahead);
  }
  return builder_.finish();
}

std::span<const float> EngineLoop::run(const tensor::Batch& batch) {
  const TimePoint begin = clock_();
  const auto logits = executable_->run(batch, kv_.data(), pool_);
  const double seconds = seconds_between(begin, clock_());
  const std::lock_guard lock(mutex_);
  counters_.run_seconds += seconds;
  ++counters_.steps;
  return logits;
}

// The step has run: tokens join their sequences, and what has ended leaves.
void EngineLoop::settle(std::span<const scheduler::Work> work) {
  const std::lock_guard lock(mutex_);
  scheduler_.complete();
  const std::int64_t before = counters_.prompt_tokens + counters_.generated_tokens;
  for (const auto& item : work) {
    auto& request = static_cast<Active&>(*item.sequence);
    const std::int64_t prompt_end = std::min(item.begin + item.count, request.prompt_length);
    counters_.prompt_tokens += std::max<std::int64_t>(0, prompt_end - request.counted);
    request.counted = std::max(request.counted, prompt_end);
  }
  for (Draw& draw : std::span(draws_).first(draw_count_)) settle(draw);
  for (const auto& item : work) {
    if (item.samples) draft_next(static_cast<Active&>(*item.sequence));
  }
  counters_.step_tokens.add(counters_.prompt_tokens + counters_.generated_tokens - before);
}

// What penalties and bad words look at is brought up to date once a step, which is once a token only without drafts.
bool EngineLoop::drafts_for(const Active& request) const {
  return options_.speculative_tokens > 0 && !request.reads_only && !request.sampling.penalizes() &&
         request.sampling.bad_words.empty();
}

void EngineLoop::draft_next(Active& request) {
  if (request.drafted > 0) {
    ++counters_.drafts;
    counters_.draft_tokens += request.drafted;
    counters_.accepted_tokens += request.accepted;
    request.lookup.judge(request.drafted, request.accepted);
  }
  if (request.ended || !drafts_for(request)) return;
  request.lookup.propose(request.tokens, options_.speculative_tokens - 1, request.draft);
}

void EngineLoop::settle(Draw& draw) {
  Active& request = *draw.request;
  if (request.ended || !draw.used) return;  // an earlier row of it failed, or ended it
  if (!draw.error.empty()) {
    post(request, {.id = request.id, .finish = draw.fault, .error = std::move(draw.error)});
    return end(request, counters_.requests_failed);
  }
  if (draw.scored >= 0) {
    // A chunk's rows follow each other, so that one event takes them all.
    if (messages_.empty() || messages_.back().event.id != request.id) post(request, {.id = request.id});
    messages_.back().event.prompt_logprobs.push_back(std::move(draw.sampled.logprobs));
    return;
  }
  if (request.reads_only) {
    post(request, {.id = request.id, .finish = FinishReason::kLength, .cached_tokens = request.cached});
    return end(request, counters_.requests_finished);
  }
  scheduler_.append(request, draw.sampled.token);
  if (request.sampling.penalizes()) request.history.add(draw.sampled.token);
  ++counters_.generated_tokens;
  TokenEvent event{.id = request.id,
                   .token = draw.sampled.token,
                   .finish = finish_reason(request),
                   .cached_tokens = request.cached,
                   .queue_seconds = request.queue_seconds};
  if (request.sampling.top_logprobs >= 0) event.logprobs = std::move(draw.sampled.logprobs);
  const bool complete = event.finish != FinishReason::kStop && draw.completes;
  if (complete) event.finish = FinishReason::kNone;  // unlike a stop token, this one is part of the reply
  const bool finished = complete || event.finish != FinishReason::kNone;
  post(request, std::move(event));
  if (complete) post(request, {.id = request.id, .finish = FinishReason::kStop, .cached_tokens = request.cached});
  if (finished) end(request, counters_.requests_finished);
}

bool EngineLoop::stops(const Active& request, std::int32_t token) {
  return std::ranges::find(request.stop_token_ids, token) != request.stop_token_ids.end();
}

FinishReason EngineLoop::finish_reason(const Active& request) const {
  if (stops(request, request.tokens.back())) return FinishReason::kStop;
  return request.length() == request.prompt_length + request.max_tokens ? FinishReason::kLength : FinishReason::kNone;
}

void EngineLoop::post(Active& request, TokenEvent event) {
  messages_.push_back({.sink = request.sink.get(), .order = messages_.size(), .event = std::move(event)});
}

// Its pages are free from here on; the object lives until its last event is published.
void EngineLoop::end(Active& request, std::int64_t& counter) {
  scheduler_.remove(request);
  request.ended = true;
  ++counter;
  if (request.deadline) deadlines_.erase({*request.deadline, request.id});
  const auto found = requests_.find(request.id);
  ended_.push_back(std::move(found->second));
  requests_.erase(found);
}

// One call for each subscriber, with its events in the order in which they came.
void EngineLoop::publish() {
  std::ranges::sort(messages_, [](const Message& a, const Message& b) {
    return a.sink != b.sink ? std::less<>()(a.sink, b.sink) : a.order < b.order;
  });
  for (std::size_t begin = 0, end; begin < messages_.size(); begin = end) {
    Sink* const sink = messages_[begin].sink;
    events_.clear();
    for (end = begin; end < messages_.size() && messages_[end].sink == sink; ++end) {
      events_.push_back(std::move(messages_[end].event));
    }
    try {
      (*sink)(events_);
    } catch (const std::exception& exception) {
      TENON_LOG_ERROR("a subscriber failed, its requests are cancelled: {}", exception.what());
      for (const auto& event : events_) cancel(event.id);
    }
  }
  messages_.clear();
  ended_.clear();
}

void EngineLoop::end_all() {
  {
    const std::lock_guard lock(mutex_);
    while (!requests_.empty()) {
      Active& request = *requests_.begin()->second;
      post(request, {.id = request.id, .finish = FinishReason::kCancelled});
      end(request, counters_.requests_cancelled);
    }
  }
  publish();
}

}  // namespace tenon::engine
