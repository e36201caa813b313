#include "scheduler/scheduler.h"

#include <algorithm>
#include <string>
#include <utility>

#include "base/check.h"

namespace tenon::scheduler {
namespace {

using kvcache::pages_for;

std::string mebibytes(std::int64_t bytes) {
  const std::int64_t tenths = (bytes * 10 + (1 << 20) - 1) >> 20;  // rounded up
  return std::to_string(tenths / 10) + "." + std::to_string(tenths % 10) + " MiB";
}

}  // namespace

Scheduler::Scheduler(const Options& options, kvcache::PagePool& pool, Clock clock)
    : options_(options), pool_(pool), clock_(std::move(clock)) {
  TENON_CHECK(options.max_rows > 0 && options.max_chunk > 0 && options.max_tokens >= options.max_rows);
  running_.reserve(static_cast<std::size_t>(options.max_rows));
  work_.reserve(static_cast<std::size_t>(options.max_rows));
}

Status Scheduler::submit(Sequence& sequence) {
  TENON_CHECK(!sequence.tokens.empty() && sequence.max_tokens >= 1 && sequence.computed == 0);
  const std::int64_t length = sequence.length();
  const std::int64_t most = pool_.total_pages() * tensor::kPageTokens;
  if (length + 1 > most) {
    return invalid("a prompt of " + std::to_string(length) + " tokens needs " +
                   mebibytes(pages_for(length + 1) * options_.page_bytes) + " of KV cache, which has only " +
                   mebibytes(pool_.total_pages() * options_.page_bytes) + " (" + std::to_string(most) +
                   " tokens): shorten it, or start with more KV cache memory");
  }
  if (static_cast<std::int64_t>(waiting_.size()) >= options_.max_queue_size) {
    return fail(ErrorCode::kResourceExhausted,
                "the queue is full with " + std::to_string(waiting_.size()) + " waiting requests: try again later");
  }
  sequence.prompt_length = length;
  sequence.max_tokens = std::min(sequence.max_tokens, most - length);
  sequence.arrival = arrivals_++;
  sequence.submitted = clock_();
  waiting_.push_back(&sequence);
  return {};
}

void Scheduler::remove(Sequence& sequence) {
  sequence.pages.clear();
  if (std::erase(running_, &sequence) == 0) std::erase(waiting_, &sequence);
}

std::span<const Work> Scheduler::plan() {
  work_.clear();
  planned_tokens_ = 0;
  planned_extra_logits_ = 0;
  short_of_pages_ = false;
  plan_decodes();
  plan_prefills();
  if (!short_of_pages_) admit();
  TENON_CHECK(!work_.empty() || idle(), "nothing can run");
  return work_;
}

void Scheduler::complete() {
  for (const Work& work : work_) {
    Sequence& sequence = *work.sequence;
    sequence.computed += work.count;
    sequence.logits_from = std::max(sequence.logits_from, sequence.computed);
  }
}

// One new token each. running_ may lose its tail on the way.
void Scheduler::plan_decodes() {
  for (std::size_t i = 0; i < running_.size(); ++i) {
    Sequence& sequence = *running_[i];
    if (sequence.remaining() == 1 && make_room(sequence, 1)) add_work(sequence, 1);
  }
}

void Scheduler::plan_prefills() {
  for (std::size_t i = 0; i < running_.size() && budget() > 0; ++i) {
    Sequence& sequence = *running_[i];
    if (sequence.remaining() == 1) continue;  // planned already
    if (!make_room(sequence, 1)) continue;
    // A smaller chunk is better than taking another's pages.
    const std::int64_t room = sequence.pages.capacity() + pool_.free_pages() * tensor::kPageTokens - sequence.computed;
    const std::int64_t wanted = next_chunk(sequence);
    if (room < wanted) short_of_pages_ = true;
    const std::int64_t count = std::min(wanted, room);
    sequence.pages.grow(pool_, sequence.computed + count);
    add_work(sequence, count);
  }
}

// Strictly in order: the head of the queue holds up the rest, so that nobody starves. It enters when its whole prompt
// fits beside what the running ones will need next: half a prompt in the cache helps nobody.
void Scheduler::admit() {
  while (!waiting_.empty() && running_.size() < static_cast<std::size_t>(options_.max_rows) && budget() > 0) {
    Sequence& sequence = *waiting_.front();
    const bool fits = pages_for(sequence.length()) + reserved_pages() <= pool_.free_pages();
    if (!fits && !running_.empty()) return;
    const std::int64_t count = next_chunk(sequence);
    const bool grown = sequence.pages.grow(pool_, count);
    TENON_CHECK(grown, "a sequence that does not fit an empty cache");
    waiting_.pop_front();
    running_.push_back(&sequence);
    if (!sequence.started) {
      sequence.started = true;
      ++totals_.started;
      totals_.queue_seconds += seconds_between(sequence.submitted, clock_());
    }
    add_work(sequence, count);
  }
}

// Pages for `tokens` more tokens, taken from younger sequences if need be. False: the sequence waits, with its pages.
bool Scheduler::make_room(Sequence& sequence, std::int64_t tokens) {
  while (!sequence.pages.grow(pool_, sequence.computed + tokens)) {
    short_of_pages_ = true;
    if (running_.back() == &sequence) return false;
    preempt_youngest();
  }
  return true;
}

void Scheduler::preempt_youngest() {
  Sequence& sequence = *running_.back();
  std::erase_if(work_, [&](const Work& work) {
    if (work.sequence != &sequence) return false;
    planned_tokens_ -= work.count;
    planned_extra_logits_ -= std::max(0, work.logits - 1);
    return true;
  });
  sequence.pages.clear();
  sequence.computed = 0;
  running_.pop_back();
  waiting_.push_front(&sequence);
  ++totals_.preemptions;
}

std::int64_t Scheduler::next_chunk(const Sequence& sequence) const {
  const auto count = std::min<std::int64_t>({sequence.remaining(), options_.max_chunk, budget()});
  if (sequence.logits_from >= sequence.prompt_length) return count;
  const std::int64_t without_logits = std::max<std::int64_t>(sequence.logits_from - sequence.computed, 0);
  return std::min(count, without_logits + 1 + options_.extra_logits - planned_extra_logits_);
}

void Scheduler::add_work(Sequence& sequence, std::int64_t count) {
  const std::int64_t begin = sequence.computed;
  const bool samples = count == sequence.remaining();
  const std::int64_t of_prompt =
      std::min(begin + count, sequence.prompt_length - 1) - std::max(begin, sequence.logits_from);
  const int logits = static_cast<int>(std::max<std::int64_t>(of_prompt, 0)) + (samples ? 1 : 0);
  work_.push_back({&sequence, begin, count, samples, logits});
  planned_tokens_ += count;
  planned_extra_logits_ += std::max(0, logits - 1);
}

// Pages that running sequences will want soon: the rest of their prompts, and one for each that may outgrow its last.
std::int64_t Scheduler::reserved_pages() const {
  std::int64_t pages = 0;
  for (const Sequence* sequence : running_) {
    pages += sequence->pages.missing(sequence->length());
    const std::int64_t last = sequence->prompt_length + sequence->max_tokens - 1;  // the last token is never run
    if (pages_for(last) > pages_for(sequence->length())) ++pages;
  }
  return pages;
}

Stats Scheduler::stats() const {
  Stats stats = totals_;
  stats.running = static_cast<std::int64_t>(running_.size());
  stats.waiting = static_cast<std::int64_t>(waiting_.size());
  return stats;
}

}  // namespace tenon::scheduler
