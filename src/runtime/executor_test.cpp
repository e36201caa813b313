// The executor with steps that only count: every item once, rows split alike, barriers between phases.
#include <gtest/gtest.h>

#include <atomic>
#include <numeric>

#include "runtime/plan.h"

namespace tenon::runtime {
namespace {

/// Counts how often each item ran, and on which thread.
struct Record {
  std::vector<std::atomic<int>> times;
  std::vector<std::atomic<int>> thread;
  explicit Record(std::size_t items) : times(items), thread(items) {}
};

class CountingStep final : public Step {
 public:
  CountingStep(Record* record, bool rows, std::int64_t alignment, const Record* after = nullptr)
      : Step("test"), record_(record), after_(after), rows_(rows), alignment_(alignment) {}
  const char* kernel() const override { return "count"; }
  std::string describe() const override { return "items"; }
  bool by_rows() const override { return rows_; }
  std::int64_t items(const Run& run) const override {
    return rows_ ? run.rows(Rows::kTokens) : static_cast<std::int64_t>(record_->times.size());
  }
  std::int64_t alignment(const Run&) const override { return alignment_; }
  void execute(const Run&, std::int64_t begin, std::int64_t end, int thread) const override {
    EXPECT_LT(begin, end);
    EXPECT_TRUE(!rows_ || begin % alignment_ == 0);
    for (std::int64_t i = begin; i < end; ++i) {
      ++record_->times[static_cast<std::size_t>(i)];
      record_->thread[static_cast<std::size_t>(i)] = thread;
    }
    if (after_ == nullptr) return;
    for (const auto& times : after_->times) {
      EXPECT_EQ(times, record_->times[static_cast<std::size_t>(begin)])
          << "a phase began before the one before it ended";
    }
  }

 private:
  Record* record_;
  const Record* after_;
  bool rows_;
  std::int64_t alignment_;
};

struct TestBatch {
  std::vector<std::int32_t> ids, positions, offsets, pages = {0, 1}, logits;
  explicit TestBatch(int tokens) : ids(static_cast<std::size_t>(tokens)), positions(ids.size()), offsets{0, tokens} {
    std::iota(positions.begin(), positions.end(), 0);
  }
  tensor::Batch view() const {
    return {.token_ids = ids,
            .positions = positions,
            .row_offsets = offsets,
            .page_table = pages,
            .max_pages = 2,
            .logit_rows = logits};
  }
};

Plan empty_plan() {
  Plan plan;
  plan.limits = {.max_total_tokens = 100, .max_rows = 1, .max_sampled_rows = 1, .max_pages_per_row = 2};
  plan.arena_bytes = 64;
  plan.vocab_size = 1;
  return plan;
}

TEST(Executor, RunsEveryItemOncePhaseByPhase) {
  for (const int threads : {1, 2, 3}) {
    ThreadPool pool(threads);
    for (const int tokens : {1, 2, 7, 100}) {
      const auto rows = static_cast<std::size_t>(tokens);
      Record first(rows), second(rows), items(37), last(rows);
      Plan plan = empty_plan();
      plan.phases.resize(3);
      plan.phases[0].steps.push_back(std::make_unique<CountingStep>(&first, true, 4));
      plan.phases[0].steps.push_back(std::make_unique<CountingStep>(&second, true, 6));
      plan.phases[1].steps.push_back(std::make_unique<CountingStep>(&items, false, 1, &second));
      plan.phases[2].steps.push_back(std::make_unique<CountingStep>(&last, true, 1, &items));
      auto executable = make_executable(std::move(plan), {}, threads);
      ASSERT_TRUE(executable.has_value());
      const TestBatch batch(tokens);
      (*executable)->run(batch.view(), nullptr, pool);
      for (std::size_t i = 0; i < rows; ++i) {
        EXPECT_EQ(first.times[i], 1);
        EXPECT_EQ(second.times[i], 1);
        EXPECT_EQ(first.thread[i], second.thread[i]) << "steps of one phase are not split alike";
        EXPECT_EQ(last.times[i], 1);
      }
      for (const auto& times : items.times) EXPECT_EQ(times, 1);
      (*executable)->run(batch.view(), nullptr, pool);
      for (const auto& times : items.times) EXPECT_EQ(times, 2);
    }
  }
}

TEST(Executor, SmallReplicatedPhasesRunOnEveryThread) {
  ThreadPool pool(2);
  for (const int tokens : {3, 4}) {
    Record record(static_cast<std::size_t>(tokens));
    Plan plan = empty_plan();
    plan.phases.resize(1);
    plan.phases[0].steps.push_back(std::make_unique<CountingStep>(&record, true, 1));
    plan.phases[0].replicated_rows = 3;
    auto executable = make_executable(std::move(plan), {}, 2);
    ASSERT_TRUE(executable.has_value());
    (*executable)->run(TestBatch(tokens).view(), nullptr, pool);
    EXPECT_EQ(record.times[0], tokens == 3 ? 2 : 1);
  }
}

TEST(ExecutorDeathTest, ABatchBeyondTheLimitsIsABug) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  ThreadPool pool(1);
  auto executable = make_executable(empty_plan(), {}, 1);
  ASSERT_TRUE(executable.has_value());
  EXPECT_DEATH((*executable)->run(TestBatch(101).view(), nullptr, pool), "tokens of the batch: 101");
  TestBatch far(3);
  far.positions[2] = 128;
  EXPECT_DEATH((*executable)->run(far.view(), nullptr, pool), "a position beyond the pages");
  TestBatch outside(3);
  outside.logits = {3};
  EXPECT_DEATH((*executable)->run(outside.view(), nullptr, pool), "a logit row");
}

TEST(PlanText, NamesPhaseKernelAndModule) {
  Record record(1);
  Plan plan = empty_plan();
  plan.phases.resize(1);
  plan.phases[0].steps.push_back(std::make_unique<CountingStep>(&record, true, 1));
  EXPECT_EQ(to_text(plan), "0    count            items  ; test\n");
}

}  // namespace
}  // namespace tenon::runtime
