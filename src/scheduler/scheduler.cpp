#include "scheduler/scheduler.h"

#include <algorithm>
#include <string>
#include <utility>

#include "base/check.h"

namespace tenon::scheduler {
namespace {

using kvcache::pages_for;
using tensor::kPageTokens;

std::string mebibytes(std::int64_t bytes) {
  const std::int64_t tenths = (bytes * 10 + (1 << 20) - 1) >> 20;  // rounded up
  return std::to_string(tenths / 10) + "." + std::to_string(tenths % 10) + " MiB";
}

bool before(const Sequence* a, const Sequence* b) {
  const auto place = [](const Sequence* s) {
    return static_cast<std::int64_t>(s->arrival) + s->priority * kMostOvertakers;
  };
  return place(a) != place(b) ? place(a) < place(b) : a->priority < b->priority;
}

template <class Container>
void insert_in_order(Container& sequences, Sequence& sequence) {
  sequences.insert(std::ranges::upper_bound(sequences, &sequence, before), &sequence);
}

}  // namespace

Scheduler::Scheduler(const Options& options, kvcache::PagePool& pool, Clock clock)
    : options_(options), pool_(pool), clock_(std::move(clock)), tree_(pool) {
  TENON_CHECK(options.max_rows > 0 && options.max_chunk > 0 && options.max_mixed_prefill > 0 &&
              options.max_tokens >= options.max_rows);
  running_.reserve(static_cast<std::size_t>(options.max_rows));
  work_.reserve(static_cast<std::size_t>(options.max_rows));
}

Status Scheduler::check_fits(const Sequence& sequence) const {
  TENON_CHECK(!sequence.tokens.empty() && sequence.max_tokens >= 1 && sequence.computed == 0);
  const std::int64_t length = sequence.length();
  const std::int64_t most = pool_.total_pages() * kPageTokens;
  if (length + 1 <= most) return {};
  return invalid("a prompt of " + std::to_string(length) + " tokens needs " +
                 mebibytes(pages_for(length + 1) * options_.page_bytes) + " of KV cache, which has only " +
                 mebibytes(pool_.total_pages() * options_.page_bytes) + " (" + std::to_string(most) +
                 " tokens): shorten it, or start with more KV cache memory");
}

Status Scheduler::submit(std::span<Sequence* const> sequences) {
  for (const Sequence* sequence : sequences) TENON_TRY(check_fits(*sequence));
  if (static_cast<std::int64_t>(waiting_.size()) >= options_.max_queue_size) {
    return fail(ErrorCode::kResourceExhausted,
                "the queue is full with " + std::to_string(waiting_.size()) + " waiting requests: try again later");
  }
  for (Sequence* sequence : sequences) {
    sequence->prompt_length = sequence->length();
    sequence->max_tokens = std::min(sequence->max_tokens, pool_.total_pages() * kPageTokens - sequence->prompt_length);
    sequence->arrival = arrivals_++;
    sequence->submitted = clock_();
    insert_in_order(waiting_, *sequence);
  }
  return {};
}

void Scheduler::remove(Sequence& sequence) {
  give_up_pages(sequence);
  if (std::erase(running_, &sequence) == 0) std::erase(waiting_, &sequence);
}

std::span<const Work> Scheduler::plan() {
  work_.clear();
  copies_.clear();
  planned_tokens_ = 0;
  planned_extra_logits_ = 0;
  short_of_pages_ = false;
  plan_decodes();
  const std::int64_t mixed = planned_tokens_ == 0 ? options_.max_tokens : options_.max_mixed_prefill;
  most_tokens_ = std::min<std::int64_t>(options_.max_tokens, planned_tokens_ + mixed);
  plan_prefills();
  if (short_of_pages_) {
    hold_ = Hold::kPages;
  } else {
    admit();
  }
  plan_drafts();
  TENON_CHECK(!work_.empty() || idle(), "nothing can run");
  return work_;
}

void Scheduler::complete() {
  copies_.clear();
  for (const Work& work : work_) {
    Sequence& sequence = *work.sequence;
    sequence.computed += work.count;
    sequence.logits_from = std::max(sequence.logits_from, sequence.computed);
    remember(sequence);
  }
}

void Scheduler::append(Sequence& sequence, std::int32_t token) {
  sequence.tokens.push_back(token);
  if (sequence.accepted == sequence.drafted) return;
  if (sequence.draft[static_cast<std::size_t>(sequence.accepted)] != token) return;
  ++sequence.accepted;
  ++sequence.computed;
  remember(sequence);
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
    const std::int64_t begin = sequence.computed;
    reuse(sequence);
    count_hits(sequence, begin);
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
  hold_ = Hold::kNone;
  while (!waiting_.empty()) {
    if (running_.size() >= static_cast<std::size_t>(options_.max_rows)) hold_ = Hold::kRows;
    if (budget() <= 0) hold_ = Hold::kTokens;
    if (hold_ != Hold::kNone) return;
    Sequence& sequence = *waiting_.front();
    reuse(sequence);
    const bool fits = sequence.pages.missing(sequence.length()) + reserved_pages() <= pool_.free_pages();
    if (!fits && !running_.empty()) {
      hold_ = Hold::kPages;
      return give_up_pages(sequence);
    }
    const std::int64_t count = next_chunk(sequence);
    count_hits(sequence, 0);
    const bool grown = sequence.pages.grow(pool_, sequence.computed + count);
    TENON_CHECK(grown, "a sequence that does not fit an empty cache");
    waiting_.pop_front();
    insert_in_order(running_, sequence);
    if (!sequence.started) {
      sequence.started = true;
      ++totals_.started;
      totals_.cache_queries += sequence.prompt_length;
      sequence.queue_seconds = seconds_between(sequence.submitted, clock_());
      totals_.queue_seconds += sequence.queue_seconds;
    }
    add_work(sequence, count);
  }
}

// Drafts take no page that a sequence does not have, so that nobody has less for them.
void Scheduler::plan_drafts() {
  const auto rows = static_cast<std::int64_t>(work_.size());
  if (rows == 0 || planned_tokens_ != rows) return;
  for (Work& work : work_) {
    Sequence& sequence = *work.sequence;
    const std::int64_t count = std::min<std::int64_t>(
        {options_.max_speculative_tokens / rows - 1, static_cast<std::int64_t>(sequence.draft.size()), budget(),
         options_.extra_logits - planned_extra_logits_, sequence.pages.capacity() - sequence.computed - 1,
         sequence.prompt_length + sequence.max_tokens - sequence.length() - 1});
    if (count <= 0 || !work.samples) continue;
    sequence.drafted = work.drafted = static_cast<int>(count);
    planned_tokens_ += count;
    planned_extra_logits_ += work.drafted;
  }
}

// Pages for `tokens` more tokens, taken from later sequences if need be. False: the sequence waits, with its pages.
bool Scheduler::make_room(Sequence& sequence, std::int64_t tokens) {
  while (!sequence.pages.grow(pool_, sequence.computed + tokens)) {
    short_of_pages_ = true;
    if (running_.back() == &sequence) return false;
    preempt_last();
  }
  return true;
}

void Scheduler::preempt_last() {
  Sequence& sequence = *running_.back();
  std::erase_if(work_, [&](const Work& work) {
    if (work.sequence != &sequence) return false;
    planned_tokens_ -= work.count;
    planned_extra_logits_ -= std::max(0, work.logits - 1);
    return true;
  });
  give_up_pages(sequence);
  running_.pop_back();
  insert_in_order(waiting_, sequence);
  ++totals_.preemptions;
}

kvcache::PrefixTree::Tokens Scheduler::tokens_of(const Sequence& sequence, std::int64_t begin, std::int64_t end) const {
  return kvcache::PrefixTree::Tokens(sequence.tokens)
      .subspan(static_cast<std::size_t>(begin), static_cast<std::size_t>(std::max(begin, end) - begin));
}

// Takes over what is cached of the tokens that are to be computed next. Only at the border of a page, where nothing of
// the next one is there yet.
void Scheduler::reuse(Sequence& sequence) {
  if (!options_.prefix_cache || sequence.pages.capacity() != sequence.computed) return;
  const std::int64_t begin = sequence.computed;
  const std::int64_t end = std::min(sequence.length() - 1, sequence.logits_from);
  while (sequence.computed + kPageTokens <= end) {
    auto* next = tree_.find(sequence.node, tokens_of(sequence, sequence.computed, end), sequence.cache_salt);
    if (!next) break;
    sequence.pages.append(kvcache::PrefixTree::page_of(next).share());
    sequence.node = next;
    ++sequence.blocks;
    sequence.computed += kPageTokens;
  }
  if (const auto rest = tokens_of(sequence, sequence.computed, end); !rest.empty()) {
    auto partial = tree_.find_partial(sequence.node, rest, sequence.cache_salt);
    // The page to be copied is held until it is; where that leaves too few, do without.
    const bool room = partial && sequence.pages.missing(sequence.length()) <= pool_.free_pages();
    if (room && sequence.pages.grow(pool_, sequence.computed + 1)) {
      copies_.push_back({std::move(partial->page), sequence.pages.ids().back()});
      sequence.computed += partial->tokens;
    }
  }
  if (sequence.computed != begin) tree_.touch(sequence.node);
}

// Tokens from `begin` on came from the cache. What it had computed itself before it was preempted is no hit.
void Scheduler::count_hits(Sequence& sequence, std::int64_t begin) {
  const std::int64_t end = std::min(sequence.computed, sequence.prompt_length);
  const std::int64_t hits = std::max<std::int64_t>(0, end - std::max(begin, sequence.known));
  sequence.cached += hits;
  totals_.cache_hits += hits;
  sequence.known = std::max(sequence.known, sequence.computed);
}

// Full pages become part of the tree, for everybody, as soon as they are computed.
void Scheduler::remember(Sequence& sequence) {
  sequence.known = std::max(sequence.known, sequence.computed);
  if (!options_.prefix_cache) return;
  for (; (sequence.blocks + 1) * kPageTokens <= sequence.computed; ++sequence.blocks) {
    const std::int64_t begin = sequence.blocks * kPageTokens;
    sequence.node = tree_.insert(sequence.node, tokens_of(sequence, begin, begin + kPageTokens), sequence.cache_salt,
                                 sequence.pages, sequence.blocks);
  }
}

void Scheduler::give_up_pages(Sequence& sequence) {
  if (!sequence.pages.ids().empty()) {
    const auto rest = tokens_of(sequence, sequence.blocks * kPageTokens, sequence.computed);
    if (options_.prefix_cache && !rest.empty()) {
      const kvcache::Page& page = sequence.pages.page(sequence.blocks);
      // A copy that was not made yet left nothing worth keeping.
      const bool pending = std::erase_if(copies_, [&](const PageCopy& copy) { return copy.target == page.id(); }) > 0;
      if (!pending) tree_.insert_partial(sequence.node, rest, sequence.cache_salt, page);
    }
    tree_.touch(sequence.node);
  }
  sequence.pages.clear();
  sequence.computed = 0;
  sequence.node = nullptr;
  sequence.blocks = 0;
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
  sequence.drafted = sequence.accepted = 0;
  work_.push_back({.sequence = &sequence, .begin = begin, .count = count, .samples = samples, .logits = logits});
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
  stats.hold = hold_;
  return stats;
}

}  // namespace tenon::scheduler
