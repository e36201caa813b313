// Rows -> the model's inputs. The only code that lays them out (tensor/batch_layout.h says what they mean).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "kvcache/page_table.h"
#include "tensor/batch_layout.h"

namespace tenon::batch {

/// The largest batch; what runtime::Executable allows.
struct Limits {
  int max_total_tokens = 0;
  int max_rows = 0;
  int max_sampled_rows = 0;
  int max_pages_per_row = 0;
};

/// Consecutive tokens of one sequence.
struct Row {
  std::span<const std::int32_t> tokens;       ///< not empty
  std::span<const std::int32_t> draft = {};   ///< more tokens, after those; the logits of all of them are wanted
  std::int64_t start = 0;                     ///< position of the first one in its sequence
  const kvcache::PageTable* pages = nullptr;  ///< has room for all of its positions
  int logits = 0;                             ///< the logits of this many last ones of `tokens` are wanted
};

/// Owns the buffers, allocated once for the largest batch; a batch is a view of them.
class BatchBuilder {
 public:
  explicit BatchBuilder(const Limits& limits);

  /// Starts the next batch; the last one's view is no longer valid.
  void clear();
  /// Rows, their tokens and logits stay within the limits (checked: whoever plans the step keeps to them).
  void add(const Row& row);
  /// Valid until clear(). The page tables must not have changed since add().
  tensor::Batch finish();

 private:
  Limits limits_;
  std::vector<std::int32_t> token_ids_, positions_, row_offsets_, page_table_, logit_rows_;
  std::vector<std::span<const std::int32_t>> row_pages_;  ///< of each row, only those that it uses
};

}  // namespace tenon::batch
