// Which rows run now: first come, first served, in steps of a bounded number of tokens. Pure bookkeeping; no threads,
// no model, no time but the injected clock.
#pragma once

#include <array>
#include <cstdint>
#include <deque>
#include <limits>
#include <span>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/result.h"
#include "kvcache/page_table.h"
#include "kvcache/prefix_tree.h"

namespace tenon::scheduler {

/// A sequence lets at most this many later ones pass for each step of `priority` that they are ahead of it: none
/// starves.
inline constexpr std::int64_t kMostOvertakers = 1000;

/// One request's tokens. Owned by the caller, which keeps it in place from submit() to remove().
struct Sequence {
  std::vector<std::int32_t> tokens;  ///< the prompt, then what was sampled; append() adds
  std::int64_t prompt_length = 0;    ///< set by submit()
  std::int64_t max_tokens = 0;       ///< most tokens to be sampled, at least 1
  int priority = 0;                  ///< lower runs earlier (kMostOvertakers); equals in order of arrival
  std::string cache_salt;            ///< shares cached prefixes only with the same salt

  /// Guesses of the tokens that follow the last one, by the caller; the first `drafted` of them run in this step, and
  /// the first `accepted` of those were drawn in it.
  std::vector<std::int32_t> draft;
  int drafted = 0, accepted = 0;

  /// The logits of the prompt's positions from here on (but its last) are wanted too; moves on as they are computed.
  /// They are never taken from a cache.
  std::int64_t logits_from = std::numeric_limits<std::int64_t>::max();
  std::int64_t computed = 0;                  ///< tokens whose keys and values are in the cache
  std::int64_t cached = 0;                    ///< tokens of the prompt that others had computed before
  std::int64_t known = 0;                     ///< the most that was ever computed: preemption sets `computed` back
  kvcache::PageTable pages;                   ///< where
  kvcache::PrefixTree::Node* node = nullptr;  ///< of its last full page
  std::int64_t blocks = 0;                    ///< its full pages that are in the tree
  std::uint64_t arrival = 0;                  ///< order of submission
  TimePoint submitted{};
  bool started = false;      ///< has run at least once
  double queue_seconds = 0;  ///< that it waited before

  std::int64_t length() const { return static_cast<std::int64_t>(tokens.size()); }
  std::int64_t remaining() const { return length() - computed; }  ///< tokens still to be run before the next is sampled
};

/// Tokens [begin, begin + count) of a sequence are run in this step, and after them those of its draft that `drafted`
/// counts; `pages` has room for all of them.
struct Work {
  Sequence* sequence = nullptr;
  std::int64_t begin = 0;
  std::int64_t count = 0;
  bool samples = false;  ///< they are its last ones: the next token is sampled
  int logits = 0;        ///< the logits of this many last tokens are wanted: that of the sampled one, and the prompt's
  int drafted = 0;       ///< the logits of all of these are wanted too
};

/// Before the step's work runs, page `target` is to become a copy of `source`.
struct PageCopy {
  kvcache::Page source;
  std::int32_t target = -1;
};

struct Options {
  int max_rows = 64;
  int max_tokens = 512;  ///< of a step; at least max_rows, so that no decode row waits for the budget
  int max_chunk = 512;   ///< of one prompt in a step
  /// Prompt tokens of a step in which replies go on: their next tokens wait for these.
  int max_mixed_prefill = std::numeric_limits<int>::max();
  int max_queue_size = 1024;
  int extra_logits = 0;  ///< of a step, beside one a row: for logits of prompts
  /// Decode rows and drafts of a step together, where it has no others: up to so many tokens it costs little more to
  /// run several than one. Few rows share what they leave evenly. 0: drafts are not run.
  int max_speculative_tokens = 0;
  std::int64_t page_bytes = 0;  ///< for messages
  bool prefix_cache = false;    ///< reuse the keys and values of prompts that begin alike
};

/// Why the queue's head did not enter in the last step.
enum class Hold : std::uint8_t { kNone, kPages, kRows, kTokens };

struct Stats {
  std::int64_t running = 0;
  std::int64_t waiting = 0;
  Hold hold = Hold::kNone;
  std::int64_t preemptions = 0;
  std::int64_t started = 0;        ///< requests that began to run
  std::int64_t cache_queries = 0;  ///< prompt tokens of those
  std::int64_t cache_hits = 0;     ///< prompt tokens that came from the prefix cache
  double queue_seconds = 0;        ///< that those waited before, summed
};

/// A step is: plan(); the caller runs the work; complete(); append() or remove() for each sequence that sampled.
///
/// Order is that of arrival + kMostOvertakers * priority. Running sequences have pages; waiting ones have none. Within
/// a step, rows that decode come first, then prompts, then new admissions, each in order. When pages run out the last
/// running sequence gives up all of its pages and waits again, at its place in the queue: its tokens, those already
/// sampled too, are computed anew, and the numerics make them the same. The first sequence is never held up and fits
/// the cache alone, so that everything finishes.
///
/// A prompt that begins like an earlier one takes over what is in the prefix cache, to the token: full pages are
/// shared, the first part of a page is copied. Its last token is always computed, for its logits.
class Scheduler {
 public:
  Scheduler(const Options& options, kvcache::PagePool& pool, Clock clock);

  /// Queues the sequences of one request, all or none. kResourceExhausted if the queue is full, which they may overfill
  /// together: a request is not refused for its own size. kInvalidArgument if a prompt and one more token can never fit
  /// the cache (says how much memory they need). Cuts max_tokens to what can fit.
  Status submit(std::span<Sequence* const> sequences);
  Status submit(Sequence& sequence) { return submit(std::array{&sequence}); }
  /// Takes a sequence out, finished or not; its pages are free again. Not between plan() and complete().
  void remove(Sequence& sequence);

  /// What runs in this step; empty only if nothing is queued or running. Valid until the next call of plan().
  std::span<const Work> plan();
  /// To be done before that work runs.
  std::span<const PageCopy> copies() const { return copies_; }
  /// The planned work was run.
  void complete();
  /// The next token of a sequence whose work sampled. After one that is the next of the drafted ones another may be
  /// appended: what the step computed after it holds.
  void append(Sequence& sequence, std::int32_t token);

  bool idle() const { return waiting_.empty() && running_.empty(); }
  Stats stats() const;

 private:
  Status check_fits(const Sequence& sequence) const;
  void plan_decodes();
  void plan_prefills();
  void admit();
  void plan_drafts();
  bool make_room(Sequence& sequence, std::int64_t tokens);
  void preempt_last();
  std::int64_t next_chunk(const Sequence& sequence) const;
  void reuse(Sequence& sequence);
  void count_hits(Sequence& sequence, std::int64_t begin);
  void remember(Sequence& sequence);
  void give_up_pages(Sequence& sequence);
  kvcache::PrefixTree::Tokens tokens_of(const Sequence& sequence, std::int64_t begin, std::int64_t end) const;
  void add_work(Sequence& sequence, std::int64_t count);
  std::int64_t budget() const { return most_tokens_ - planned_tokens_; }
  std::int64_t reserved_pages() const;

  const Options options_;
  kvcache::PagePool& pool_;
  const Clock clock_;
  kvcache::PrefixTree tree_;
  std::deque<Sequence*> waiting_;   ///< in order
  std::vector<Sequence*> running_;  ///< in order
  std::vector<Work> work_;
  std::vector<PageCopy> copies_;
  std::int64_t planned_tokens_ = 0;
  std::int64_t most_tokens_ = 0;  ///< of this step
  int planned_extra_logits_ = 0;
  Hold hold_ = Hold::kNone;
  bool short_of_pages_ = false;  ///< this step: a running sequence could not get all that it wanted
  std::uint64_t arrivals_ = 0;
  Stats totals_;
};

}  // namespace tenon::scheduler
