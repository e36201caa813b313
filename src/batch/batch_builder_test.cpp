#include "batch/batch_builder.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <vector>

namespace tenon::batch {
namespace {

using tensor::kPageTokens;
using testing::ElementsAre;
using testing::IsEmpty;

constexpr Limits kLimits{.max_total_tokens = 8, .max_rows = 3, .max_sampled_rows = 3, .max_pages_per_row = 2};

class BatchBuilderTest : public testing::Test {
 protected:
  kvcache::PageTable pages(std::int64_t tokens) {
    kvcache::PageTable table;
    EXPECT_TRUE(table.grow(pool_, tokens));
    return table;
  }
  kvcache::PagePool pool_{16};
};

TEST_F(BatchBuilderTest, LaysOutRaggedRows) {
  const auto a = pages(3), b = pages(kPageTokens + 1), c = pages(2 * kPageTokens);
  BatchBuilder builder(kLimits);
  builder.add({.tokens = std::vector{5, 6, 7}, .start = 0, .pages = &a, .logits = 1});
  builder.add({.tokens = std::vector{8}, .start = kPageTokens, .pages = &b, .logits = 1});
  builder.add(
      {.tokens = std::vector{9, 10}, .start = 4, .pages = &c, .logits = 0});  // owns a page that it does not use
  const auto batch = builder.finish();
  EXPECT_EQ(batch.rows(), 3);
  EXPECT_THAT(batch.token_ids, ElementsAre(5, 6, 7, 8, 9, 10));
  EXPECT_THAT(batch.positions, ElementsAre(0, 1, 2, kPageTokens, 4, 5));
  EXPECT_THAT(batch.row_offsets, ElementsAre(0, 3, 4, 6));
  EXPECT_EQ(batch.max_pages, 2);
  EXPECT_THAT(batch.page_table, ElementsAre(a.ids()[0], -1, b.ids()[0], b.ids()[1], c.ids()[0], -1));
  EXPECT_THAT(batch.logit_rows, ElementsAre(2, 3));
}

TEST_F(BatchBuilderTest, ReusesItsBuffers) {
  const auto a = pages(8);
  BatchBuilder builder(kLimits);
  builder.add({.tokens = std::vector{1, 2, 3, 4, 5, 6, 7, 8}, .start = 0, .pages = &a, .logits = 3});
  const auto first = builder.finish();
  EXPECT_THAT(first.logit_rows, ElementsAre(5, 6, 7));
  const auto* data = first.token_ids.data();
  builder.clear();
  builder.add({.tokens = std::vector{9}, .start = 8 - 1, .pages = &a, .logits = 0});
  const auto second = builder.finish();
  EXPECT_EQ(second.token_ids.data(), data);
  EXPECT_THAT(second.token_ids, ElementsAre(9));
  EXPECT_THAT(second.row_offsets, ElementsAre(0, 1));
  EXPECT_THAT(second.logit_rows, IsEmpty());
}

TEST_F(BatchBuilderTest, AnEmptyBatchHasNoRows) {
  BatchBuilder builder(kLimits);
  EXPECT_EQ(builder.finish().rows(), 0);
  EXPECT_EQ(builder.finish().total_tokens(), 0);
}

using BatchBuilderDeathTest = BatchBuilderTest;

TEST_F(BatchBuilderDeathTest, LimitsAreChecked) {
  const auto a = pages(2 * kPageTokens);
  const auto longer = pages(3 * kPageTokens);
  const std::vector<std::int32_t> nine(9), one(1);
  BatchBuilder builder(kLimits);
  EXPECT_DEATH(builder.add({.tokens = nine, .start = 0, .pages = &a}), "too many tokens");
  EXPECT_DEATH(builder.add({.tokens = {}, .start = 0, .pages = &a}), "!row.tokens.empty\\(\\)");
  EXPECT_DEATH(builder.add({.tokens = one, .start = 2 * kPageTokens, .pages = &a}), "without pages");
  EXPECT_DEATH(builder.add({.tokens = one, .start = 2 * kPageTokens, .pages = &longer}), "longer than the context");
  EXPECT_DEATH(builder.add({.tokens = one, .start = 0, .pages = &a, .logits = 2}), "logits");
  const std::vector<std::int32_t> four(4);
  builder.add({.tokens = four, .start = 0, .pages = &a, .logits = 3});
  EXPECT_DEATH(builder.add({.tokens = one, .start = 0, .pages = &a, .logits = 1}), "sampled");
  builder.add({.tokens = one, .start = 0, .pages = &a});
  builder.add({.tokens = one, .start = 0, .pages = &a});
  EXPECT_DEATH(builder.add({.tokens = one, .start = 0, .pages = &a}), "too many rows");
}

}  // namespace
}  // namespace tenon::batch
