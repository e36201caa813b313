// The prefix cache under the scheduler, over a memory that knows what each position of each page should hold.
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "scheduler/scheduler.h"

namespace tenon::scheduler {
namespace {

using tensor::kPageTokens;

// What a position's keys and values are a function of: all tokens up to it (and the tenant, to catch a leak).
std::uint64_t extend(std::uint64_t hash, std::int32_t token) {
  return (hash ^ static_cast<std::uint64_t>(token + 1)) * 0x9E3779B97F4A7C15ull + (hash >> 29);
}
std::uint64_t start_of(const Sequence& sequence) { return std::hash<std::string>()(sequence.cache_salt); }

class Simulation {
 public:
  Simulation(Options options, std::int64_t pages)
      : pool_(pages),
        memory_(static_cast<std::size_t>(pages * kPageTokens)),
        scheduler_(options, pool_, [] { return TimePoint{}; }) {}

  Sequence* submit(std::vector<std::int32_t> prompt, std::int64_t max_tokens, std::string salt = "") {
    auto sequence = std::make_unique<Sequence>();
    sequence->tokens = std::move(prompt);
    sequence->max_tokens = max_tokens;
    sequence->cache_salt = std::move(salt);
    EXPECT_TRUE(scheduler_.submit(*sequence));
    all_.push_back(std::move(sequence));
    return all_.back().get();
  }

  void remove(Sequence* sequence) {
    scheduler_.remove(*sequence);
    removed_.insert(sequence);
  }

  /// One step of the model; every position that a sequence reads must hold what the sequence itself would have
  /// computed.
  void step() {
    const auto work = scheduler_.plan();
    for (const PageCopy& copy : scheduler_.copies()) {
      std::copy_n(memory_.begin() + copy.source.id() * kPageTokens, kPageTokens,
                  memory_.begin() + copy.target * kPageTokens);
    }
    std::vector<Sequence*> sampled;
    for (const Work& w : work) {
      std::uint64_t hash = start_of(*w.sequence);
      for (std::int64_t i = 0; i < w.begin + w.count; ++i) {
        hash = extend(hash, w.sequence->tokens[static_cast<std::size_t>(i)]);
        std::uint64_t& cell = memory_[static_cast<std::size_t>(
            w.sequence->pages.ids()[static_cast<std::size_t>(i / kPageTokens)] * kPageTokens + i % kPageTokens)];
        if (i >= w.begin) {
          cell = hash;
          ++computed_;
        } else {
          ASSERT_EQ(cell, hash) << "position " << i << " of a sequence of " << w.sequence->length();
        }
      }
      if (w.samples) sampled.push_back(w.sequence);
    }
    scheduler_.complete();
    for (Sequence* s : sampled) {
      // The same beginning makes the same next token, as a model would.
      scheduler_.append(*s, static_cast<std::int32_t>((s->tokens.back() * 31 + s->length()) % 1000));
      if (s->length() == s->prompt_length + s->max_tokens) remove(s);
    }
  }
  void finish() {
    while (!scheduler_.idle()) {
      step();
      if (testing::Test::HasFatalFailure()) return;
    }
  }

  kvcache::PagePool pool_;
  std::vector<std::uint64_t> memory_;
  std::vector<std::unique_ptr<Sequence>> all_;
  Scheduler scheduler_;
  std::set<Sequence*> removed_;
  std::int64_t computed_ = 0;  ///< tokens that were run
};

std::vector<std::int32_t> tokens(std::int64_t count, std::int32_t first = 5) {
  std::vector<std::int32_t> out;
  for (std::int64_t i = 0; i < count; ++i) out.push_back(static_cast<std::int32_t>((first + i * 7) % 997));
  return out;
}

constexpr Options kOptions{.max_rows = 8, .max_tokens = 256, .max_chunk = 256, .prefix_cache = true};

TEST(PrefixCache, TheSecondPromptRunsItsLastTokenOnly) {
  Simulation s(kOptions, 32);
  Sequence* a = s.submit(tokens(200), 1);
  s.finish();
  EXPECT_EQ(a->cached, 0);
  s.computed_ = 0;
  Sequence* b = s.submit(tokens(200), 1);
  s.finish();
  EXPECT_EQ(b->cached, 199);  // to the token, beyond the border of a page
  EXPECT_EQ(s.computed_, 1);
  EXPECT_EQ(s.scheduler_.stats().cache_hits, 199);
  EXPECT_EQ(s.scheduler_.stats().cache_queries, 400);
}

TEST(PrefixCache, MatchesUpToTheFirstTokenThatDiffers) {
  Simulation s(kOptions, 32);
  s.submit(tokens(300), 1);
  s.finish();
  for (const std::int64_t same : {0, 1, 63, 64, 65, 130}) {
    auto prompt = tokens(300);
    prompt[static_cast<std::size_t>(same)] += 1;
    Sequence* b = s.submit(prompt, 1);
    s.finish();
    EXPECT_EQ(b->cached, same);
  }
}

TEST(PrefixCache, AConversationFindsItsEarlierTurns) {
  Simulation s(kOptions, 32);
  Sequence* a = s.submit(tokens(90), 40);
  s.finish();
  auto next = a->tokens;  // the last token that was sampled was never run
  next.push_back(1), next.push_back(2);
  Sequence* b = s.submit(next, 3);
  s.finish();
  EXPECT_EQ(b->cached, 129);
}

TEST(PrefixCache, RequestsThatRunTogetherShare) {
  Simulation s(kOptions, 64);
  s.submit(tokens(1024), 50);
  Sequence* b = s.submit(tokens(1024), 50);
  s.finish();
  EXPECT_GT(b->cached, 512) << "it came while the first was at work on the same tokens";
}

TEST(PrefixCache, SaltsKeepTenantsApart) {
  Simulation s(kOptions, 32);
  s.submit(tokens(150), 2, "red");
  s.finish();
  EXPECT_EQ(s.submit(tokens(150), 2, "blue")->cached, 0);
  Sequence* none = s.submit(tokens(150), 2);
  Sequence* shorter = s.submit(tokens(150), 2, "re");
  s.finish();
  EXPECT_EQ(none->cached, 0);
  EXPECT_EQ(shorter->cached, 0);
  Sequence* red = s.submit(tokens(150), 2, "red");
  s.finish();
  EXPECT_EQ(red->cached, 149);
}

TEST(PrefixCache, CachedPagesCountAsFreeAndTheOldestGoFirst) {
  Simulation s(kOptions, 8);
  s.submit(tokens(2 * kPageTokens, 1), 1);
  s.finish();
  s.submit(tokens(2 * kPageTokens, 2), 1);
  s.finish();
  EXPECT_EQ(s.pool_.free_pages(), 8);
  EXPECT_EQ(s.pool_.stats().used, 0);
  EXPECT_GE(s.pool_.stats().cached, 4);
  s.submit(tokens(2 * kPageTokens, 1), 1);  // used again
  s.finish();
  s.submit(tokens(4 * kPageTokens, 3), 1);  // evicts what was used longest ago
  s.finish();
  Sequence* one = s.submit(tokens(2 * kPageTokens, 1), 1);
  s.finish();
  Sequence* two = s.submit(tokens(2 * kPageTokens, 2), 1);
  s.finish();
  EXPECT_GT(one->cached, 0);
  EXPECT_LT(two->cached, one->cached);
}

TEST(PrefixCache, AFullCacheStillTakesThePromptThatNeedsAllOfIt) {
  Simulation s(kOptions, 4);
  s.submit(tokens(4 * kPageTokens - 1), 1);
  s.finish();
  auto prompt = tokens(4 * kPageTokens - 1);
  prompt[70] += 1;  // one full page is shared, the next would be copied while all pages are needed
  Sequence* b = s.submit(prompt, 1);
  s.finish();
  EXPECT_GE(b->cached, kPageTokens);
}

TEST(PrefixCache, SomeTokensMayBeKeptFromIt) {
  Simulation s(kOptions, 16);
  s.submit(tokens(200), 1);
  s.finish();
  Sequence* b = s.submit(tokens(200), 1);
  b->logits_from = 0;  // it wants the logits of its prompt
  s.finish();
  EXPECT_EQ(b->cached, 0);
}

TEST(Priority, LowerRunsFirstAndEqualsInOrderOfArrival) {
  Simulation s({.max_rows = 1, .max_tokens = 64, .max_chunk = 64, .prefix_cache = true}, 16);
  std::vector<Sequence*> order;
  Sequence* running = s.submit(tokens(3), 2);
  s.step();
  Sequence* later = s.submit(tokens(3), 1);
  Sequence* urgent = s.submit(tokens(3), 1);
  s.scheduler_.remove(*urgent);
  urgent->priority = -1;
  ASSERT_TRUE(s.scheduler_.submit(*urgent));
  while (!s.scheduler_.idle()) {
    const auto done = s.removed_.size();
    s.step();
    if (s.removed_.size() == done) continue;
    for (Sequence* x : {running, later, urgent}) {
      if (s.removed_.contains(x) && std::ranges::find(order, x) == order.end()) order.push_back(x);
    }
  }
  EXPECT_EQ(order, (std::vector{running, urgent, later}));
}

TEST(Priority, NobodyIsOvertakenWithoutEnd) {
  Simulation s({.max_rows = 1, .max_tokens = 64, .max_chunk = 64, .max_queue_size = 10000}, 16);
  s.submit(tokens(3), 1);
  s.step();
  Sequence* patient = s.submit(tokens(3), 1);
  s.scheduler_.remove(*patient);
  patient->priority = 1;
  ASSERT_TRUE(s.scheduler_.submit(*patient));
  for (int i = 0; i < kMostOvertakers + 50; ++i) s.submit(tokens(3), 1);
  while (!s.removed_.contains(patient)) s.step();
  // The first one, those that may overtake it (the one that came at the end of them is equal and more urgent), itself.
  EXPECT_EQ(static_cast<std::int64_t>(s.removed_.size()), 1 + kMostOvertakers + 1);
}

// Prompts with beginnings in common, tight caches, cancellations, salts, preemption: whatever a sequence reads is what
// it would have computed, and all pages come back.
TEST(PrefixCacheProperty, RandomTraffic) {
  std::int64_t hits = 0, preemptions = 0;
  for (unsigned seed = 0; seed < 300; ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    std::mt19937 random(seed);
    const auto pick = [&](int low, int high) { return std::uniform_int_distribution<int>(low, high)(random); };
    const int rows = pick(1, 8);
    const int pages = pick(4, 24);
    Simulation s({.max_rows = rows,
                  .max_tokens = rows + pick(0, 200),
                  .max_chunk = pick(1, 150),
                  .max_queue_size = 1000,
                  .prefix_cache = true},
                 pages);
    int to_come = pick(1, 40);
    for (int step = 0; to_come > 0 || !s.scheduler_.idle(); ++step) {
      ASSERT_LT(step, 100000) << "does not finish";
      while (to_come > 0 && pick(0, 3) == 0) {
        --to_come;
        // One draw a statement: compilers evaluate arguments in different orders.
        const int kind = pick(1, 2);
        auto prompt = tokens(pick(1, pages * kPageTokens - 1), kind);
        if (pick(0, 1)) prompt[static_cast<std::size_t>(pick(0, static_cast<int>(prompt.size()) - 1))] += 1;
        const std::string salt = pick(0, 4) == 0 ? "other" : "";
        s.submit(std::move(prompt), pick(1, 200), salt);
      }
      if (!s.all_.empty() && pick(0, 19) == 0) {
        Sequence* victim = s.all_[static_cast<std::size_t>(pick(0, static_cast<int>(s.all_.size()) - 1))].get();
        if (!s.removed_.contains(victim)) s.remove(victim);
      }
      s.step();
      if (HasFatalFailure()) return;
    }
    EXPECT_EQ(s.pool_.free_pages(), pages);
    EXPECT_EQ(s.pool_.stats().used, 0);
    const Stats stats = s.scheduler_.stats();
    EXPECT_LE(stats.cache_hits, stats.cache_queries);
    hits += stats.cache_hits;
    preemptions += stats.preemptions;
  }
  EXPECT_GT(hits, 10000);
  EXPECT_GT(preemptions, 100) << "the caches were not tight enough to test anything";
}

}  // namespace
}  // namespace tenon::scheduler
