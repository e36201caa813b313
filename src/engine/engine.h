// The engine: token ids in, token ids out. One thread runs the loop: schedule, batch, run, sample, publish.
#pragma once

#include <algorithm>
#include <array>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "runtime/executable.h"
#include "sampler/sampling.h"

namespace tenon::engine {

using RequestId = std::uint64_t;

struct Request {
  std::vector<std::int32_t> prompt;  ///< not empty
  sampler::SamplingParams sampling;
  std::int64_t max_tokens = 0;  ///< cut to what the context leaves; 0: the prompt is only read (for its logprobs)
  std::vector<std::int32_t> stop_token_ids = {};  ///< ends with kStop; the token is reported, its text is not wanted
  std::int64_t min_tokens = 0;                    ///< before so many tokens no stop token is drawn
  int prompt_logprobs = -1;     ///< -1: none; else logprobs of the prompt's tokens, and of this many best ones each
  int priority = 0;             ///< lower runs earlier; equals in order of arrival
  double timeout = 0;           ///< seconds from submission, after which it ends with kTimeout; 0: none
  std::string cache_salt = {};  ///< prefixes are shared only among requests of the same salt
  /// What the reply must be, at its beginning; null: anything. Where it allows nothing more the reply ends with kStop,
  /// in an event without a token.
  std::shared_ptr<grammar::Matcher> matcher = {};
};

/// kGrammar: what the request's matcher says failed, as one that grows beyond its bounds, or its bad words leave
/// nothing that may come; the fault is the request's.
enum class FinishReason : std::uint8_t { kNone, kStop, kLength, kCancelled, kError, kTimeout, kGrammar };

/// What one step made for one request.
struct TokenEvent {
  RequestId id = 0;
  std::int32_t token = -1;                         ///< -1: none (cancelled, error)
  FinishReason finish = FinishReason::kNone;       ///< after this event nothing more comes for the request
  std::optional<sampler::TokenLogprobs> logprobs;  ///< if asked for
  /// Of the prompt's next tokens, in order from the second one on, in as many events as it takes; before the first
  /// token's event or with it.
  std::vector<sampler::TokenLogprobs> prompt_logprobs = {};
  std::string error;               ///< of kError and kGrammar
  std::int64_t cached_tokens = 0;  ///< of the prompt, taken from the prefix cache
  double queue_seconds = 0;        ///< that the request waited before it first ran
};

/// Called on the engine thread, once a step with the events of all requests of one subscriber; must not block.
using Sink = std::function<void(std::span<const TokenEvent>)>;

struct Options {
  int max_batch_size = 64;     ///< rows decoded together
  int max_batch_tokens = 512;  ///< token budget of a step: decode rows first, then prefill chunks
  int prefill_chunk = 512;     ///< most prompt tokens of one request in a step
  int mixed_prefill = 128;     ///< most prompt tokens of a step in which replies go on
  int max_length = 0;          ///< context: prompt and reply; 0: what the executable allows
  std::int64_t num_pages = 0;  ///< pages of the KV cache
  int max_queue_size = 1024;   ///< where so many requests wait, more are refused
  bool prefix_cache = true;    ///< prompts that begin alike share keys and values
  /// Where no more than this many replies go on, the next tokens of each are guessed from its own text and checked in
  /// the step in which the first is drawn: so many tokens in all. It changes no reply. 0: off.
  int speculative_tokens = 0;
};

/// How many steps had how many tokens.
struct StepTokens {
  static constexpr std::array<std::int64_t, 13> kBounds = {1,   8,    16,   32,   64,   128,  256,
                                                           512, 1024, 2048, 4096, 8192, 16384};
  std::array<std::int64_t, kBounds.size() + 1> steps{};  ///< of at most so many tokens, and the last: of more
  std::int64_t tokens = 0;                               ///< of all
  void add(std::int64_t count) {
    ++steps[static_cast<std::size_t>(std::ranges::lower_bound(kBounds, count) - kBounds.begin())];
    tokens += count;
  }
};

/// Counters for /metrics and bench; read with one lock.
struct Stats {
  std::int64_t running = 0, waiting = 0, pages_used = 0, pages_total = 0;
  std::int64_t waiting_for_capacity = 0;  ///< of those waiting: the KV cache or the batch is full, not just the step
  std::int64_t prompt_tokens = 0, steps = 0, preemptions = 0;
  std::int64_t generated_tokens = 0;  ///< drawn; in a guess also those behind a stop string, which its subscriber drops
  std::int64_t requests_started = 0, requests_finished = 0, requests_cancelled = 0, requests_failed = 0;
  std::int64_t requests_timed_out = 0;
  std::int64_t prefix_cache_queries = 0, prefix_cache_hits = 0;    ///< prompt tokens, of requests that started
  std::int64_t drafts = 0, draft_tokens = 0, accepted_tokens = 0;  ///< guesses, what they had, and what of it was right
  double queue_seconds = 0;                                        ///< that started requests waited, summed
  double run_seconds = 0;                                          ///< spent in the model
  StepTokens step_tokens;                                          ///< prompt tokens and generated ones
  int page_tokens = 0;                                             ///< tokens that a page holds
  bool prefix_cache = false;                                       ///< whether there is one
};

/// A request and who gets its events.
struct Submission {
  Request request;
  std::shared_ptr<Sink> sink;
};

class Engine {
 public:
  /// Allocates the KV cache: kResourceExhausted says how much it needs. kInvalidArgument where options go beyond the
  /// executable's limits.
  static Result<std::unique_ptr<Engine>> create(std::shared_ptr<runtime::Executable> executable, Options options,
                                                int threads, Clock clock = steady_clock());
  /// Stops the loop; what runs or waits ends with kCancelled. Not from a sink.
  virtual ~Engine() = default;

  /// Queues requests that belong together, all or none: where the queue is not full they are taken, however many.
  /// Errors: an empty or too long prompt (kInvalidArgument, names the lengths), an id outside the vocabulary, a full
  /// queue (kResourceExhausted), shut down (kUnavailable).
  virtual Result<std::vector<RequestId>> submit_all(std::vector<Submission> submissions) = 0;
  /// The same for one.
  Result<RequestId> submit(Request request, std::shared_ptr<Sink> sink);
  /// Ends a request within one step; unknown ids are ignored. One last event of kCancelled follows.
  virtual void cancel(RequestId id) = 0;
  /// The same for a subscriber that has all it wanted (a stop string): the last event is kStop, and it counts as
  /// finished.
  virtual void finish(RequestId id) = 0;
  /// Stops taking requests; those already taken finish.
  virtual void drain() = 0;
  virtual Stats stats() const = 0;
  virtual const Options& options() const = 0;
};

}  // namespace tenon::engine
