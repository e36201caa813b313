// The engine's loop. Private to engine/; engine.h is what others see.
#pragma once

#include <condition_variable>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <thread>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/file.h"
#include "base/thread_pool.h"
#include "batch/batch_builder.h"
#include "engine/engine.h"
#include "engine/prompt_lookup.h"
#include "kvcache/page_pool.h"
#include "scheduler/scheduler.h"

namespace tenon::engine {

using SampleFunction = decltype(&sampler::sample);

/// One thread runs step() while there is work, and sleeps where there is none. The mutex guards the bookkeeping
/// (scheduler, pages, requests, counters) and is never held while the model runs or a sink is called.
class EngineLoop final : public Engine {
 public:
  /// `options` are within the executable's limits; `kv` holds options.num_pages pages.
  EngineLoop(std::shared_ptr<runtime::Executable> executable, const Options& options, HugeBuffer kv, int threads,
             Clock clock, SampleFunction sample_function = &sampler::sample);
  ~EngineLoop() override;

  Result<std::vector<RequestId>> submit_all(std::vector<Submission> submissions) override;
  void cancel(RequestId id) override { end_early(id, FinishReason::kCancelled); }
  void finish(RequestId id) override { end_early(id, FinishReason::kStop); }
  void drain() override;
  Stats stats() const override;
  const Options& options() const override { return options_; }

 private:
  struct Active final : scheduler::Sequence {
    RequestId id = 0;
    sampler::SamplingParams sampling;
    std::vector<std::int32_t> stop_token_ids;
    std::int64_t min_tokens = 0;
    int prompt_logprobs = -1;
    bool reads_only = false;        ///< ends where its first token would be sampled
    bool ended = false;             ///< its last event is posted
    sampler::TokenHistory history;  ///< if its sampling penalizes
    /// Has taken each drawn token once, so that preemption leaves it alone; null: none.
    std::shared_ptr<grammar::Matcher> matcher;
    std::shared_ptr<Sink> sink;
    std::optional<TimePoint> deadline;
    PromptLookup lookup;
    std::int64_t counted = 0;  ///< prompt tokens already in the counters: those computed anew count once
  };
  /// A row of logits in this step: a token is sampled from it, or one of the prompt is scored.
  struct Draw {
    Active* request = nullptr;
    int ahead = 0;             ///< so many tokens of a draft come before the one that is sampled
    bool used = true;          ///< false: the draft before it is wrong
    bool completes = false;    ///< the grammar allows nothing after it
    std::int32_t scored = -1;  ///< the prompt's token after it; -1: sample
    sampler::Sampled sampled;
    std::string error;
    FinishReason fault = FinishReason::kError;  ///< where there is an error
  };
  struct Message {
    Sink* sink = nullptr;
    std::size_t order = 0;
    TokenEvent event;
  };

  void loop();
  void pack(TimePoint begin);
  void pack_piece();
  bool wait_for_work();
  void step();
  std::span<const scheduler::Work> schedule();
  void end_overdue();
  void copy_pages();
  tensor::Batch lay_out(std::span<const scheduler::Work> work);
  std::span<const float> run(const tensor::Batch& batch);
  void sample(std::span<const float> logits);
  void settle(Draw& draw);
  void sample_from(std::size_t first, std::span<const float> logits, sampler::Scratch& scratch);
  static bool draft_holds(const Draw& draw);
  void sample_row(Draw& draw, std::span<const float> logits, sampler::Scratch& scratch) const;
  void sample_token(Draw& draw, std::span<const float> logits, sampler::Scratch& scratch) const;
  static void fail_by_grammar(Draw& draw);
  void settle(std::span<const scheduler::Work> work);
  bool drafts_for(const Active& request) const;
  void draft_next(Active& request);
  void publish();

  void end_early(RequestId id, FinishReason reason);
  Status check(const Request& request) const;
  std::unique_ptr<Active> activate(Submission submission) const;
  static bool stops(const Active& request, std::int32_t token);
  FinishReason finish_reason(const Active& request) const;
  void post(Active& request, TokenEvent event);
  void end(Active& request, std::int64_t& counter);
  void end_all();

  const std::shared_ptr<runtime::Executable> executable_;
  const Options options_;
  const HugeBuffer kv_;
  const Clock clock_;
  const SampleFunction sample_;
  ThreadPool pool_;
  batch::BatchBuilder builder_;

  // Of the engine thread alone.
  std::vector<Draw> draws_;
  std::size_t draw_count_ = 0;               ///< draws_ keeps its strings' and vectors' capacity
  std::vector<sampler::Scratch> scratches_;  ///< one a thread
  std::vector<Message> messages_;
  std::vector<TokenEvent> events_;
  std::vector<std::unique_ptr<Active>> ended_;  ///< until their last events are published

  mutable std::mutex mutex_;
  std::condition_variable wake_;
  kvcache::PagePool pages_;
  scheduler::Scheduler scheduler_;
  std::unordered_map<RequestId, std::unique_ptr<Active>> requests_;
  std::set<std::pair<TimePoint, RequestId>> deadlines_;
  std::vector<std::pair<RequestId, FinishReason>> ending_;  ///< what cancel() and finish() asked for
  RequestId next_id_ = 1;
  bool draining_ = false, stopping_ = false;
  Stats counters_;

  std::thread thread_;  ///< last: starts when all else is there
};

}  // namespace tenon::engine
