#include "runtime/shares.h"

#include <gtest/gtest.h>

#include <atomic>
#include <thread>
#include <vector>

#include "base/thread_pool.h"

namespace tenon::runtime {
namespace {

struct Range {
  std::int64_t begin, end;
};

TEST(Shares, AThreadTakesItsOwnFromTheFrontAndOthersFromTheBack) {
  Shares shares;
  shares.resize(1, 2);
  std::vector<Range> taken;
  shares.take(0, 1, 32, 1, [&](std::int64_t begin, std::int64_t end) { taken.push_back({begin, end}); });
  ASSERT_EQ(taken.size(), 16u);
  for (std::size_t i = 0; i < 8; ++i) {
    const auto at = static_cast<std::int64_t>(i) * 2;
    EXPECT_EQ(taken[i].begin, 16 + at);
    EXPECT_EQ(taken[i].end, 18 + at);
    EXPECT_EQ(taken[i + 8].begin, 14 - at);
    EXPECT_EQ(taken[i + 8].end, 16 - at);
  }
  // Nothing is left of this phase; another begins anew.
  shares.take(0, 1, 32, 0, [&](std::int64_t, std::int64_t) { FAIL() << "an item was taken twice"; });
  std::int64_t items = 0;
  shares.take(0, 2, 5, 0, [&](std::int64_t begin, std::int64_t end) { items += end - begin; });
  EXPECT_EQ(items, 5);
  shares.take(0, 3, 0, 0, [&](std::int64_t, std::int64_t) { FAIL() << "there are no items"; });
}

TEST(Shares, ASlowThreadsItemsAreDoneByTheOthers) {
  constexpr std::int64_t kItems = 1000;
  ThreadPool pool(3);
  Shares shares;
  shares.resize(2, pool.size());
  for (std::uint64_t phase = 1; phase < 50; ++phase) {
    for (const std::size_t step : {0, 1}) {
      std::vector<std::atomic<int>> times(kItems);
      std::atomic<std::int64_t> done = 0;
      std::int64_t slow = 0;
      pool.run([&](int thread) {
        shares.take(step, phase, kItems, thread, [&](std::int64_t begin, std::int64_t end) {
          for (std::int64_t i = begin; i < end; ++i) ++times[static_cast<std::size_t>(i)];
          done += end - begin;
          if (thread != 0) return;
          slow += end - begin;
          while (done < kItems) std::this_thread::yield();
        });
      });
      for (const auto& n : times) EXPECT_EQ(n, 1);
      EXPECT_LE(slow, kItems / 3 / 8 + 1) << "more than one chunk waited for the slow thread";
    }
  }
}

}  // namespace
}  // namespace tenon::runtime
