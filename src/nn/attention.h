// The model inputs as values, and attention over the paged KV cache.
#pragma once

#include "graph/ops.h"
#include "nn/scope.h"

namespace tenon::nn {

/// Declares the inputs of tensor/batch_layout.h: one batch of ragged rows. Make one a graph.
struct RaggedBatch {
  explicit RaggedBatch(Graph& graph);

  Value token_ids;    ///< [T] i32
  Value positions;    ///< [T] i32
  Value row_offsets;  ///< [rows + 1] i32
  Value page_table;   ///< [rows, max_pages] i32
  Value logit_rows;   ///< [sampled_rows] i32

  /// The rows of x [T, H] whose logits are wanted → [sampled_rows, H].
  Value sampled(Value x) const { return graph::gather_rows(x, logit_rows); }
};

/// [T, heads * head_dim] → [T, heads, head_dim].
Value split_heads(Value x, int heads, int head_dim);
/// [T, heads, head_dim] → [T, heads * head_dim].
Value merge_heads(Value x);

/// Causal attention of one layer, as q_proj, k_proj and v_proj left it and as o_proj wants it: rotates q and k by
/// `rope` (Rope::table; empty for NoPE: not at all), appends k and v to the cache of `layer`, attends. q [T, heads,
/// key_dim], k [T, kv_heads, key_dim], v [T, kv_heads, value_dim] → [T, heads * value_dim].
Value attention(Value q, Value k, Value v, Value rope, const RaggedBatch& batch, int layer,
                graph::AttentionOptions options, graph::RelativeBias bias = {});

}  // namespace tenon::nn
