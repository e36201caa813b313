#include <gtest/gtest.h>

#include <set>
#include <utility>
#include <vector>

#include "kvcache/page_pool.h"
#include "kvcache/page_table.h"

namespace tenon::kvcache {
namespace {

using tensor::kPageTokens;

TEST(PagePool, HandsOutEachPageOnceThenNone) {
  PagePool pool(3);
  std::vector<Page> pages;
  std::set<std::int32_t> ids;
  while (auto page = pool.allocate()) ids.insert(page->id()), pages.push_back(std::move(*page));
  EXPECT_EQ(ids, (std::set<std::int32_t>{0, 1, 2}));
  EXPECT_EQ(pool.free_pages(), 0);
  EXPECT_FALSE(pool.allocate());
  pages.pop_back();
  EXPECT_EQ(pool.free_pages(), 1);
  EXPECT_TRUE(pool.allocate());  // and back at once
  EXPECT_EQ(pool.stats().used, 2);
  EXPECT_EQ(pool.stats().peak_used, 3);
  EXPECT_EQ(pool.stats().total, 3);
}

TEST(PagePool, AnEmptyPoolIsAPool) {
  PagePool pool(0);
  EXPECT_FALSE(pool.allocate());
}

TEST(Page, MovesKeepOneOwner) {
  PagePool pool(2);
  Page a = *pool.allocate();
  const auto id = a.id();
  Page b = std::move(a);
  EXPECT_EQ(b.id(), id);
  EXPECT_EQ(pool.free_pages(), 1);
  {
    Page c = *pool.allocate();
    c = std::move(b);
    EXPECT_EQ(c.id(), id);
    EXPECT_FALSE(b);
    EXPECT_EQ(pool.free_pages(), 1);  // c's first page went back at once
  }
  EXPECT_EQ(pool.free_pages(), 2);
}

TEST(PagePoolDeathTest, APageMustNotOutliveItsPool) {
  EXPECT_DEATH(
      {
        Page page;
        PagePool pool(1);
        page = *pool.allocate();
      },
      "outlives");
}

TEST(PageTable, CountsPagesAtTheirBorders) {
  EXPECT_EQ(pages_for(0), 0);
  EXPECT_EQ(pages_for(1), 1);
  EXPECT_EQ(pages_for(kPageTokens), 1);
  EXPECT_EQ(pages_for(kPageTokens + 1), 2);
}

TEST(PageTable, GrowsAllOrNothing) {
  PagePool pool(3);
  PageTable table;
  EXPECT_EQ(table.capacity(), 0);
  EXPECT_TRUE(table.grow(pool, 0));
  EXPECT_TRUE(table.grow(pool, kPageTokens + 1));
  EXPECT_EQ(table.capacity(), 2 * kPageTokens);
  EXPECT_EQ(table.missing(2 * kPageTokens), 0);
  EXPECT_EQ(table.missing(2 * kPageTokens + 1), 1);
  EXPECT_TRUE(table.grow(pool, 5));  // has room already
  EXPECT_EQ(pool.free_pages(), 1);
  EXPECT_FALSE(table.grow(pool, 4 * kPageTokens));
  EXPECT_EQ(pool.free_pages(), 1);
  EXPECT_EQ(table.ids().size(), 2u);
  table.clear();
  EXPECT_EQ(pool.free_pages(), 3);
  EXPECT_TRUE(table.ids().empty());
}

TEST(PageTable, TwoTablesNeverShareAPage) {
  PagePool pool(4);
  PageTable a, b;
  for (int tokens = 1; tokens <= 2 * kPageTokens; tokens += 7) {
    ASSERT_TRUE(a.grow(pool, tokens));
    ASSERT_TRUE(b.grow(pool, tokens));
  }
  std::set<std::int32_t> ids(a.ids().begin(), a.ids().end());
  ids.insert(b.ids().begin(), b.ids().end());
  EXPECT_EQ(ids.size(), 4u);
}

}  // namespace
}  // namespace tenon::kvcache
