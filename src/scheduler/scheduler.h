// Which rows run now: first come, first served, in steps of a bounded number of tokens. Pure bookkeeping; no threads,
// no model, no time but the injected clock.
#pragma once

#include <cstdint>
#include <deque>
#include <limits>
#include <span>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "kvcache/page_table.h"

namespace tenon::scheduler {

/// One request's tokens. Owned by the caller, which keeps it in place from submit() to remove().
struct Sequence {
  std::vector<std::int32_t> tokens;  ///< the prompt, then what was sampled; append() adds
  std::int64_t prompt_length = 0;    ///< set by submit()
  std::int64_t max_tokens = 0;       ///< most tokens to be sampled, at least 1

  std::int64_t computed = 0;  ///< tokens whose keys and values are in the cache
  kvcache::PageTable pages;   ///< where
  /// The logits of the prompt's positions from here on (but its last) are wanted too; moves on as they are computed.
  /// They are never taken from a cache.
  std::int64_t logits_from = std::numeric_limits<std::int64_t>::max();
  std::uint64_t arrival = 0;  ///< order of submission
  TimePoint submitted{};
  bool started = false;  ///< has run at least once

  std::int64_t length() const { return static_cast<std::int64_t>(tokens.size()); }
  std::int64_t remaining() const { return length() - computed; }  ///< tokens still to be run before the next is sampled
};

/// Tokens [begin, begin + count) of a sequence are run in this step; `pages` has room for them.
struct Work {
  Sequence* sequence = nullptr;
  std::int64_t begin = 0;
  std::int64_t count = 0;
  bool samples = false;  ///< they are its last ones: the next token is sampled
  int logits = 0;        ///< the logits of this many last tokens are wanted: that of the sampled one, and the prompt's
};

struct Options {
  int max_rows = 64;
  int max_tokens = 512;  ///< of a step; at least max_rows, so that no decode row waits for the budget
  int max_chunk = 512;   ///< of one prompt in a step
  int max_queue_size = 1024;
  int extra_logits = 0;         ///< of a step, beside one a row: for logits of prompts
  std::int64_t page_bytes = 0;  ///< for messages
};

struct Stats {
  std::int64_t running = 0;
  std::int64_t waiting = 0;
  std::int64_t preemptions = 0;
  std::int64_t started = 0;  ///< requests that began to run
  double queue_seconds = 0;  ///< that those waited before, summed
};

/// A step is: plan(); the caller runs the work; complete(); append() or remove() for each sequence that sampled.
///
/// Running sequences have pages; waiting ones have none. Every running sequence is older than every waiting one. Within
/// a step, rows that decode come first, then prompts, then new admissions, each in order of arrival. When pages run out
/// the youngest running sequence gives up all of its pages and waits again, at the head of the queue: its tokens, those
/// already sampled too, are computed anew, and the numerics make them the same. The oldest sequence is never held
/// up and fits the cache alone, so that everything finishes.
class Scheduler {
 public:
  Scheduler(const Options& options, kvcache::PagePool& pool, Clock clock);

  /// Queues a sequence. kResourceExhausted if the queue is full; kInvalidArgument if its prompt and one more token
  /// can never fit the cache (says how much memory they need). Cuts max_tokens to what can fit.
  Status submit(Sequence& sequence);
  /// Takes a sequence out, finished or not; its pages are free again. Not between plan() and complete().
  void remove(Sequence& sequence);

  /// What runs in this step; empty only if nothing is queued or running. Valid until the next call of plan().
  std::span<const Work> plan();
  /// The planned work was run.
  void complete();
  /// The next token of a sequence whose work sampled.
  void append(Sequence& sequence, std::int32_t token) { sequence.tokens.push_back(token); }

  bool idle() const { return waiting_.empty() && running_.empty(); }
  Stats stats() const;

 private:
  void plan_decodes();
  void plan_prefills();
  void admit();
  bool make_room(Sequence& sequence, std::int64_t tokens);
  void preempt_youngest();
  std::int64_t next_chunk(const Sequence& sequence) const;
  void add_work(Sequence& sequence, std::int64_t count);
  std::int64_t budget() const { return options_.max_tokens - planned_tokens_; }
  std::int64_t reserved_pages() const;

  const Options options_;
  kvcache::PagePool& pool_;
  const Clock clock_;
  std::deque<Sequence*> waiting_;   ///< in order of arrival
  std::vector<Sequence*> running_;  ///< in order of arrival
  std::vector<Work> work_;
  std::int64_t planned_tokens_ = 0;
  int planned_extra_logits_ = 0;
  bool short_of_pages_ = false;  ///< this step: a running sequence could not get all that it wanted
  std::uint64_t arrivals_ = 0;
  Stats totals_;
};

}  // namespace tenon::scheduler
