#include "nn/attention.h"

#include <string_view>

#include "base/check.h"
#include "tensor/batch_layout.h"

namespace tenon::nn {
namespace {

Value declare(Graph& graph, std::string_view name) {
  for (const tensor::BatchInput& input : tensor::kBatchInputs) {
    if (name != input.name) continue;
    graph::Type type{input.dtype, {Dim(input.dims[0])}};
    if (input.dims[1] != nullptr) type.dims.emplace_back(input.dims[1]);
    return graph.input(input.name, std::move(type));
  }
  TENON_CHECK(false, "batch_layout.h has no input " + std::string(name));
  return {};
}

}  // namespace

RaggedBatch::RaggedBatch(Graph& graph)
    : token_ids(declare(graph, "token_ids")),
      positions(declare(graph, "positions")),
      row_offsets(declare(graph, "row_offsets")),
      page_table(declare(graph, "page_table")),
      logit_rows(declare(graph, "logit_rows")) {}

Value split_heads(Value x, int heads, int head_dim) { return graph::reshape(x, {x.dim(0), heads, head_dim}); }

Value merge_heads(Value x) { return graph::reshape(x, {x.dim(0), x.dim(1).size() * x.dim(2).size()}); }

Value attention(Value q, Value k, Value v, Value rope, const RaggedBatch& batch, int layer,
                graph::AttentionOptions options, graph::RelativeBias bias) {
  if (rope) {
    q = graph::rope(q, rope);
    k = graph::rope(k, rope);
  }
  const Value cache = graph::kv_append(k, v, layer, batch.positions, batch.row_offsets, batch.page_table);
  return merge_heads(graph::attention(q, cache, options, {}, bias));
}

}  // namespace tenon::nn
