// How an attention task is divided into work items: which query tokens and heads one item has. Bits do not depend on
// it.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/kernels.h"

namespace tenon::kernels {

/// An item is up to `tokens` consecutive tokens of one sequence and `heads` query heads that share one kv head. Items
/// of one block of tokens follow each other; the blocks come from the two ends in turn, so that the long last blocks of
/// a prompt are spread evenly however the items are divided.
struct AttentionItems {
  int tokens = 1;  ///< tokens a block
  int heads = 1;   ///< heads an item
  int parts = 1;   ///< items that share one kv head and one block of tokens
  int kv_heads = 1;
  std::int64_t blocks = 0;

  explicit AttentionItems(const AttentionTask& task);

  std::int64_t per_block() const { return std::int64_t{kv_heads} * parts; }
  std::int64_t count() const { return blocks * per_block(); }
};

/// The tokens of one block.
struct TokenBlock {
  int row = 0;             ///< sequence of the batch
  std::int64_t token = 0;  ///< first token in the batch
  int tokens = 0;
};
/// Block `index` (0 .. blocks - 1) in the order in which items come.
TokenBlock token_block(const AttentionTask& task, const AttentionItems& items, std::int64_t index);

/// For one item, each 64-byte aligned: the running sums [rows][stride], the tile's scores, the softmax's maximum and
/// sum, the queries rounded to bfloat16 [rows][key_dim]. Room for the largest item of any batch, so that its size can
/// be asked once.
struct AttentionScratch {
  std::int64_t stride = 0;  ///< value_dim rounded up to 32
  std::int64_t sums = 0;    ///< offsets in floats
  std::int64_t scores = 0;
  std::int64_t maxima = 0;
  std::int64_t totals = 0;
  std::int64_t queries = 0;
  std::int64_t floats = 0;

  explicit AttentionScratch(const AttentionTask& task);
};

std::int64_t attention_items(const AttentionTask& task);
std::int64_t attention_scratch_bytes(const AttentionTask& task);

}  // namespace tenon::kernels
