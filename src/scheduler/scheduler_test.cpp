#include "scheduler/scheduler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <vector>

namespace tenon::scheduler {
namespace {

using tensor::kPageTokens;

std::int32_t token_at(std::uint64_t arrival, std::int64_t position) {
  return static_cast<std::int32_t>(arrival * 7919 + static_cast<std::uint64_t>(position) * 31);
}

// Runs sequences as the engine does, and checks every plan against what must hold of it.
class Harness {
 public:
  Harness(Options options, std::int64_t pages)
      : options_(options), pool_(pages), scheduler_(options, pool_, [this] { return now_; }) {}

  Sequence* submit(std::int64_t prompt, std::int64_t max_tokens) {
    auto sequence = std::make_unique<Sequence>();
    sequence->tokens.assign(static_cast<std::size_t>(prompt), 1);
    sequence->max_tokens = max_tokens;
    const auto status = scheduler_.submit(*sequence);
    if (!status) {
      error_ = status.error();
      return nullptr;
    }
    all_.push_back(std::move(sequence));
    return all_.back().get();
  }

  void remove(Sequence* sequence) {
    scheduler_.remove(*sequence);
    removed_.insert(sequence);
  }

  // One step; the sequences that sampled, in the order of the plan.
  std::vector<Sequence*> step() {
    const auto plan = scheduler_.plan();
    std::vector<Work> work(plan.begin(), plan.end());
    check(work);
    scheduler_.complete();
    std::vector<Sequence*> sampled;
    for (const auto& w : work) {
      if (!w.samples) continue;
      sampled.push_back(w.sequence);
      scheduler_.append(*w.sequence, token_at(w.sequence->arrival, w.sequence->length()));
      if (w.sequence->length() == w.sequence->prompt_length + 1) first_tokens_.push_back(w.sequence);
      if (w.sequence->length() == w.sequence->prompt_length + w.sequence->max_tokens) remove(w.sequence);
    }
    last_ = work;
    return sampled;
  }

  void check(const std::vector<Work>& work) {
    std::int64_t tokens = 0;
    std::set<Sequence*> seen;
    bool prefill = false;
    std::int64_t decodes = 0;
    for (const auto& w : work) {
      tokens += w.count;
      ASSERT_TRUE(seen.insert(w.sequence).second) << "planned twice";
      ASSERT_FALSE(removed_.contains(w.sequence));
      ASSERT_EQ(w.begin, w.sequence->computed);
      ASSERT_GE(w.count, 1);
      ASSERT_LE(w.count, options_.max_chunk);
      ASSERT_LE(w.begin + w.count, w.sequence->length());
      ASSERT_GE(w.sequence->pages.capacity(), w.begin + w.count);
      ASSERT_EQ(w.samples, w.begin + w.count == w.sequence->length());
      const bool decode = w.sequence->remaining() == 1 && w.begin > 0;
      ASSERT_FALSE(decode && prefill) << "a decode row after a prompt";
      prefill = prefill || !decode;
      decodes += decode;
    }
    if (decodes > 0) {
      ASSERT_LE(tokens - decodes, options_.max_mixed_prefill);
    }
    ASSERT_LE(tokens, options_.max_tokens);
    ASSERT_LE(work.size(), static_cast<std::size_t>(options_.max_rows));
    std::set<std::int32_t> pages;
    std::size_t held = 0;
    for (const auto& s : all_) {
      pages.insert(s->pages.ids().begin(), s->pages.ids().end());
      held += s->pages.ids().size();
      if (removed_.contains(s.get())) {
        ASSERT_EQ(s->pages.capacity(), 0);
      }
    }
    ASSERT_EQ(pages.size(), held) << "a page with two owners";
    ASSERT_EQ(static_cast<std::int64_t>(held) + pool_.free_pages(), pool_.total_pages()) << "a page leaked";
  }

  const Options options_;
  TimePoint now_{};
  kvcache::PagePool pool_;
  std::vector<std::unique_ptr<Sequence>> all_;
  Scheduler scheduler_;
  std::set<Sequence*> removed_;
  std::vector<Sequence*> first_tokens_;
  std::vector<Work> last_;
  Error error_;
};

TEST(Scheduler, DecodesFirstThenChunksOfPromptsWithinTheBudget) {
  Harness h({.max_rows = 4, .max_tokens = 100, .max_chunk = 60}, 64);
  Sequence* a = h.submit(5, 50);
  h.step();
  Sequence* b = h.submit(150, 5);
  Sequence* c = h.submit(200, 5);
  h.step();
  ASSERT_EQ(h.last_.size(), 3u);
  EXPECT_EQ(h.last_[0].sequence, a);
  EXPECT_EQ(h.last_[0].count, 1);
  EXPECT_EQ(h.last_[1].sequence, b);
  EXPECT_EQ(h.last_[1].count, 60);
  EXPECT_EQ(h.last_[2].sequence, c);
  EXPECT_EQ(h.last_[2].count, 39);
  h.step(), h.step();  // b: 60 + 60 + 30
  EXPECT_TRUE(h.last_[1].samples);
  EXPECT_EQ(b->length(), 151);
  EXPECT_FALSE(h.last_[2].samples);
}

TEST(Scheduler, PromptsTakeLessOfAStepInWhichRepliesGoOn) {
  Harness h({.max_rows = 4, .max_tokens = 100, .max_chunk = 60, .max_mixed_prefill = 30}, 64);
  Sequence* a = h.submit(200, 5);
  Sequence* b = h.submit(70, 2);
  h.step();  // nobody waits for a next token
  EXPECT_EQ(h.last_[0].count, 60);
  EXPECT_EQ(h.last_[1].count, 40);
  h.step(), h.step();
  while (a->length() == 200) h.step();
  Sequence* c = h.submit(90, 2);
  for (const int rest : {30, 30, 30}) {
    h.step();
    ASSERT_EQ(h.last_.size(), 2u);
    EXPECT_EQ(h.last_[0].count, 1);
    EXPECT_EQ(h.last_[1].sequence, c);
    EXPECT_EQ(h.last_[1].count, rest);
  }
  EXPECT_TRUE(h.last_[1].samples);
  EXPECT_TRUE(h.removed_.contains(b));
}

TEST(Scheduler, RowsAreLimited) {
  Harness h({.max_rows = 2, .max_tokens = 100}, 64);
  for (int i = 0; i < 5; ++i) h.submit(3, 4);
  h.step();
  EXPECT_EQ(h.last_.size(), 2u);
  EXPECT_EQ(h.scheduler_.stats().running, 2);
  EXPECT_EQ(h.scheduler_.stats().waiting, 3);
  while (!h.scheduler_.idle()) h.step();
  EXPECT_EQ(h.first_tokens_.size(), 5u);
}

TEST(Scheduler, RefusesWhatCanNeverFitAndSaysHowMuchItNeeds) {
  Harness h({.page_bytes = 1 << 20}, 4);
  EXPECT_TRUE(h.submit(4 * kPageTokens - 1, 1));
  EXPECT_FALSE(h.submit(4 * kPageTokens, 1));
  EXPECT_EQ(h.error_.code, ErrorCode::kInvalidArgument);
  EXPECT_NE(h.error_.message.find("256 tokens needs 5.0 MiB"), std::string::npos) << h.error_.message;
  EXPECT_NE(h.error_.message.find("only 4.0 MiB"), std::string::npos) << h.error_.message;
}

TEST(Scheduler, CutsTheReplyToWhatFits) {
  Harness h({}, 2);
  Sequence* a = h.submit(100, 1000);
  EXPECT_EQ(a->max_tokens, 28);
  while (!h.scheduler_.idle()) h.step();
  EXPECT_EQ(a->length(), 128);
}

TEST(Scheduler, TheQueueIsBounded) {
  Harness h({.max_rows = 1, .max_queue_size = 2}, 8);
  EXPECT_TRUE(h.submit(1, 1));
  EXPECT_TRUE(h.submit(1, 1));
  EXPECT_FALSE(h.submit(1, 1));
  EXPECT_EQ(h.error_.code, ErrorCode::kResourceExhausted);
  h.step();
  EXPECT_TRUE(h.submit(1, 1));
}

TEST(Scheduler, TheSequencesOfARequestAreQueuedAllOrNone) {
  Harness h({.max_rows = 1, .max_queue_size = 2}, 2);
  std::vector<Sequence> own(3), more(2);
  for (auto* list : {&own, &more}) {
    for (Sequence& sequence : *list) sequence.tokens = {1}, sequence.max_tokens = 1;
  }
  const auto all = [](std::vector<Sequence>& list) {
    std::vector<Sequence*> out;
    for (Sequence& sequence : list) out.push_back(&sequence);
    return out;
  };
  EXPECT_TRUE(h.submit(1, 1));
  own[2].tokens.assign(2 * kPageTokens, 1);  // too long
  EXPECT_EQ(h.scheduler_.submit(all(own)).error().code, ErrorCode::kInvalidArgument);
  EXPECT_EQ(h.scheduler_.stats().waiting, 1);
  own[2].tokens = {1};
  EXPECT_TRUE(h.scheduler_.submit(all(own)));  // beyond the queue's limit, which was not reached
  EXPECT_EQ(h.scheduler_.submit(all(more)).error().code, ErrorCode::kResourceExhausted);
  EXPECT_EQ(h.scheduler_.stats().waiting, 4);
  for (Sequence& sequence : own) h.scheduler_.remove(sequence);
}

TEST(Scheduler, PreemptsTheYoungestAndRecomputesIt) {
  // One page each; the elder wants a second, then a third, which the younger has.
  Harness h({.max_rows = 4, .max_tokens = 200}, 3);
  Sequence* a = h.submit(kPageTokens - 3, 100);
  Sequence* b = h.submit(kPageTokens - 3, 100);
  while (h.scheduler_.stats().preemptions == 0) {
    h.step();
    ASSERT_LT(a->length(), kPageTokens + 97);
  }
  EXPECT_EQ(b->pages.capacity(), 0);
  EXPECT_EQ(b->computed, 0);
  EXPECT_GT(b->length(), b->prompt_length);  // what it said is kept
  EXPECT_GT(a->computed, kPageTokens);
  while (!h.scheduler_.idle()) h.step();
  for (Sequence* s : {a, b}) {
    ASSERT_EQ(s->length(), kPageTokens - 3 + 100);
    for (auto i = s->prompt_length; i < s->length(); ++i) {
      ASSERT_EQ(s->tokens[static_cast<std::size_t>(i)], token_at(s->arrival, i));
    }
  }
}

TEST(Scheduler, APromptWaitsUntilAllOfItFits) {
  Harness h({.max_rows = 4, .max_tokens = 64, .max_chunk = 64}, 4);
  Sequence* a = h.submit(kPageTokens, 10);  // holds 1 page, will want a second
  Sequence* b = h.submit(3 * kPageTokens, 2);
  Sequence* c = h.submit(1, 1);
  h.step(), h.step();
  EXPECT_GT(a->computed, kPageTokens);
  EXPECT_EQ(b->computed, 0);
  EXPECT_EQ(c->computed, 0) << "overtook the head of the queue";
  while (!h.scheduler_.idle()) h.step();
  EXPECT_EQ(h.scheduler_.stats().preemptions, 0);
  EXPECT_EQ(h.first_tokens_, (std::vector{a, b, c}));
}

TEST(Scheduler, RemovesWaitingAndRunningOnes) {
  Harness h({.max_rows = 1}, 4);
  Sequence* a = h.submit(10, 10);
  Sequence* b = h.submit(10, 10);
  h.step();
  EXPECT_EQ(h.pool_.free_pages(), 3);
  h.remove(b);
  h.remove(a);
  EXPECT_EQ(h.pool_.free_pages(), 4);
  EXPECT_TRUE(h.scheduler_.idle());
  h.step();
  EXPECT_TRUE(h.last_.empty());
}

TEST(Scheduler, CountsTheTimeInTheQueueByTheInjectedClock) {
  Harness h({.max_rows = 1}, 4);
  h.submit(1, 2);
  h.submit(1, 1);
  h.now_ += std::chrono::seconds(1);
  h.step();  // the first waited 1 s
  h.now_ += std::chrono::seconds(2);
  h.step();
  h.now_ += std::chrono::seconds(2);
  h.step();  // the second 5 s
  EXPECT_DOUBLE_EQ(h.scheduler_.stats().queue_seconds, 6.0);
  EXPECT_EQ(h.scheduler_.stats().started, 2);
}

// Random arrivals, lengths and cancellations in tight caches: whatever happens, the plans hold what check() asks, pages
// come back, everyone finishes with its own tokens, and equals start in order.
TEST(SchedulerProperty, RandomTraffic) {
  std::int64_t preemptions = 0;
  for (unsigned seed = 0; seed < 300; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937 random(seed);
    const auto pick = [&](int low, int high) { return std::uniform_int_distribution<int>(low, high)(random); };
    const int rows = pick(1, 12);
    const Options options{
        .max_rows = rows, .max_tokens = rows + pick(0, 200), .max_chunk = pick(1, 150), .max_queue_size = 1000};
    const int pages = pick(4, 24);
    Harness h(options, pages);
    const bool equal_prompts = pick(0, 1), cancels = pick(0, 1);
    const int equal = pick(1, 3 * kPageTokens);
    int to_come = pick(1, 40);
    std::set<Sequence*> cancelled;
    for (int step = 0; to_come > 0 || !h.scheduler_.idle(); ++step) {
      ASSERT_LT(step, 100000) << "does not finish";
      while (to_come > 0 && pick(0, 3) == 0) {
        --to_come;
        ASSERT_TRUE(h.submit(equal_prompts ? equal : pick(1, pages * kPageTokens - 1), pick(1, 400)));
      }
      if (cancels && !h.all_.empty() && pick(0, 9) == 0) {
        Sequence* victim = h.all_[static_cast<std::size_t>(pick(0, static_cast<int>(h.all_.size()) - 1))].get();
        if (!h.removed_.contains(victim)) h.remove(victim), cancelled.insert(victim);
      }
      h.step();
      if (HasFatalFailure()) return;
    }
    EXPECT_EQ(h.pool_.free_pages(), pages);
    for (const auto& s : h.all_) {
      if (cancelled.contains(s.get())) continue;
      ASSERT_EQ(s->length(), s->prompt_length + s->max_tokens);
      for (auto i = s->prompt_length; i < s->length(); ++i) {
        ASSERT_EQ(s->tokens[static_cast<std::size_t>(i)], token_at(s->arrival, i));
      }
    }
    if (equal_prompts) {
      EXPECT_TRUE(std::ranges::is_sorted(h.first_tokens_, {}, [](const Sequence* s) { return s->arrival; }));
    }
    preemptions += h.scheduler_.stats().preemptions;
  }
  EXPECT_GT(preemptions, 200) << "the caches were not tight enough to test anything";
}

}  // namespace
}  // namespace tenon::scheduler
