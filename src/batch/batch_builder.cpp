#include "batch/batch_builder.h"

#include <algorithm>
#include <limits>

#include "base/check.h"

namespace tenon::batch {

BatchBuilder::BatchBuilder(const Limits& limits) : limits_(limits) {
  TENON_CHECK(limits.max_total_tokens > 0 && limits.max_rows > 0 && limits.max_sampled_rows >= 0 &&
              limits.max_pages_per_row > 0);
  const auto tokens = static_cast<std::size_t>(limits.max_total_tokens);
  const auto rows = static_cast<std::size_t>(limits.max_rows);
  token_ids_.reserve(tokens);
  positions_.reserve(tokens);
  logit_rows_.reserve(static_cast<std::size_t>(limits.max_sampled_rows));
  row_offsets_.reserve(rows + 1);
  row_pages_.reserve(rows);
  page_table_.reserve(rows * static_cast<std::size_t>(limits.max_pages_per_row));
  clear();
}

void BatchBuilder::clear() {
  token_ids_.clear();
  positions_.clear();
  logit_rows_.clear();
  row_pages_.clear();
  row_offsets_.assign(1, 0);
}

void BatchBuilder::add(const Row& row) {
  const auto drafted = static_cast<std::int64_t>(row.draft.size());
  const std::int64_t count = static_cast<std::int64_t>(row.tokens.size()) + drafted, logits = row.logits + drafted;
  const auto first = static_cast<std::int64_t>(token_ids_.size());
  const std::int64_t end = row.start + count;
  TENON_CHECK(!row.tokens.empty() && row.start >= 0 && end <= std::numeric_limits<std::int32_t>::max());
  TENON_CHECK(first + count <= limits_.max_total_tokens, "too many tokens in a batch");
  TENON_CHECK(static_cast<int>(row_pages_.size()) < limits_.max_rows, "too many rows in a batch");
  TENON_CHECK(row.logits >= 0 && logits <= count);
  TENON_CHECK(static_cast<std::int64_t>(logit_rows_.size()) + logits <= limits_.max_sampled_rows,
              "too many sampled rows");
  TENON_CHECK(row.pages && end <= row.pages->capacity(), "a row without pages for its tokens");
  const std::int64_t pages = kvcache::pages_for(end);
  TENON_CHECK(pages <= limits_.max_pages_per_row, "a row is longer than the context");

  token_ids_.insert(token_ids_.end(), row.tokens.begin(), row.tokens.end());
  token_ids_.insert(token_ids_.end(), row.draft.begin(), row.draft.end());
  for (std::int64_t i = 0; i < count; ++i) positions_.push_back(static_cast<std::int32_t>(row.start + i));
  for (std::int64_t i = count - logits; i < count; ++i) logit_rows_.push_back(static_cast<std::int32_t>(first + i));
  row_offsets_.push_back(static_cast<std::int32_t>(first + count));
  row_pages_.push_back(row.pages->ids().first(static_cast<std::size_t>(pages)));
}

tensor::Batch BatchBuilder::finish() {
  std::size_t columns = 0;
  for (const auto& pages : row_pages_) columns = std::max(columns, pages.size());
  page_table_.assign(row_pages_.size() * columns, -1);
  for (std::size_t r = 0; r < row_pages_.size(); ++r) {
    std::ranges::copy(row_pages_[r], page_table_.begin() + static_cast<std::ptrdiff_t>(r * columns));
  }
  return {.token_ids = token_ids_,
          .positions = positions_,
          .row_offsets = row_offsets_,
          .page_table = page_table_,
          .max_pages = static_cast<int>(columns),
          .logit_rows = logit_rows_};
}

}  // namespace tenon::batch
