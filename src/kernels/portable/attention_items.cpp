#include "kernels/portable/attention_items.h"

#include <source_location>

#include "base/check.h"
#include "kernels/portable/attention_tile.h"

namespace tenon::kernels {
namespace {

// Query rows (tokens times heads) of an item: enough that reading a page costs little beside using it, few enough that
// their sums stay in the first-level cache beside the page.
constexpr std::int64_t kItemFloats = 64 * 64;
constexpr int kMaxItemRows = 96;
// Fewer items than this would leave threads idle; then the heads of a group become items of their own.
constexpr std::int64_t kFewItems = 8;

std::int64_t tokens_of(const tensor::Batch& batch, int row) {
  const auto r = static_cast<std::size_t>(row);
  return batch.row_offsets[r + 1] - batch.row_offsets[r];
}

std::int64_t blocks_of(std::int64_t tokens, int block) { return (tokens + block - 1) / block; }

const tensor::KvLayer& layer_of(const AttentionTask& task) {
  return task.kv->layers[static_cast<std::size_t>(task.layer)];
}

int group_of(const AttentionTask& task) {
  const int kv_heads = layer_of(task).num_kv_heads;
  TENON_CHECK(kv_heads > 0 && task.heads % kv_heads == 0, "query heads must be a multiple of the kv heads");
  return task.heads / kv_heads;
}

int block_tokens(const AttentionTask& task) {
  const std::int64_t fitting = kItemFloats / layer_of(task).value_dim;
  const auto rows = static_cast<int>(fitting < kMaxItemRows ? fitting : kMaxItemRows);
  const int group = group_of(task);
  return rows > group ? rows / group : 1;
}

std::int64_t round_up(std::int64_t n, std::int64_t to) { return (n + to - 1) / to * to; }

}  // namespace

AttentionItems::AttentionItems(const AttentionTask& task)
    : tokens(block_tokens(task)), kv_heads(layer_of(task).num_kv_heads) {
  const int group = group_of(task);
  for (int r = 0; r < task.batch->rows(); ++r) blocks += blocks_of(tokens_of(*task.batch, r), tokens);
  heads = group;
  while (heads > 1 && blocks * kv_heads * parts < kFewItems) {
    --heads;
    parts = (group + heads - 1) / heads;
  }
}

TokenBlock token_block(const AttentionTask& task, const AttentionItems& items, std::int64_t index) {
  std::int64_t block = index % 2 == 0 ? index / 2 : items.blocks - 1 - index / 2;
  for (int r = 0; r < task.batch->rows(); ++r) {
    const std::int64_t tokens = tokens_of(*task.batch, r);
    const std::int64_t blocks = blocks_of(tokens, items.tokens);
    if (block >= blocks) {
      block -= blocks;
      continue;
    }
    const std::int64_t begin = block * items.tokens;
    const std::int64_t count = tokens - begin < items.tokens ? tokens - begin : items.tokens;
    return {r, task.batch->row_offsets[static_cast<std::size_t>(r)] + begin, static_cast<int>(count)};
  }
  check_failed("index < items.blocks", "no such attention item", std::source_location::current());
}

AttentionScratch::AttentionScratch(const AttentionTask& task) : stride(round_up(layer_of(task).value_dim, 32)) {
  const std::int64_t rows = std::int64_t{block_tokens(task)} * group_of(task);
  scores = round_up(rows * stride, 16);
  maxima = scores + kTileRows * tensor::kPageTokens;
  totals = maxima + round_up(rows, 16);
  queries = totals + round_up(rows, 16);
  floats = queries + round_up(rows * layer_of(task).key_dim / 2, 16);
}

std::int64_t attention_items(const AttentionTask& task) { return AttentionItems(task).count(); }

std::int64_t attention_scratch_bytes(const AttentionTask& task) {
  // A cache line more, to align it.
  return AttentionScratch(task).floats * static_cast<std::int64_t>(sizeof(float)) + 64;
}

}  // namespace tenon::kernels
