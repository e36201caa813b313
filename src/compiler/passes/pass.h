// A pass rewrites a graph into another that computes the same. One pass, one file. Values that are tapped or are
// outputs count as used, so that no pass takes them away.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "graph/copier.h"
#include "graph/graph.h"
#include "graph/ops/fused_linear.h"
#include "tensor/dtype.h"

namespace tenon::compiler {

using graph::Graph;
using graph::Node;

/// What passes and lowering know beside the graph.
struct PassContext {
  std::map<std::string, tensor::DType> packed_dtypes;  ///< what each matmul weight will be packed as, by name
  bool code_weights = true;                            ///< bfloat16 in coded form where the kernels have it
};

struct Pass {
  const char* name;
  std::unique_ptr<Graph> (*run)(const Graph& graph, const PassContext& context);
  bool required = false;  ///< lowering needs it: it cannot be disabled
};

/// In the order in which they run.
std::span<const Pass> passes();

std::unique_ptr<Graph> eliminate_dead_code(const Graph& graph, const PassContext& context);
std::unique_ptr<Graph> merge_common_subexpressions(const Graph& graph, const PassContext& context);
std::unique_ptr<Graph> fuse_scale_into_embedding(const Graph& graph, const PassContext& context);
std::unique_ptr<Graph> fuse_bias(const Graph& graph, const PassContext& context);
std::unique_ptr<Graph> fuse_gate_up(const Graph& graph, const PassContext& context);
std::unique_ptr<Graph> fuse_expert_gate_up(const Graph& graph, const PassContext& context);
std::unique_ptr<Graph> fuse_qkv(const Graph& graph, const PassContext& context);
std::unique_ptr<Graph> fuse_residual(const Graph& graph, const PassContext& context);
std::unique_ptr<Graph> fuse_rope_kv_append(const Graph& graph, const PassContext& context);
std::unique_ptr<Graph> pack_inputs(const Graph& graph, const PassContext& context);
std::unique_ptr<Graph> fuse_norm_pack(const Graph& graph, const PassContext& context);
std::unique_ptr<Graph> fuse_row_chains(const Graph& graph, const PassContext& context);

// -- for passes
/// The node that makes `value` if it is `op` and nothing else uses its result; null otherwise.
const Node* sole_maker(const Graph& graph, const std::vector<int>& uses, int value, const graph::Op& op);
/// A linear or fused linear by role; none if it is neither, or its weights are not tensors of the checkpoint.
std::optional<graph::LinearParts<int>> as_linear(const Graph& graph, const Node& node);
/// The one dtype that all weights are packed as; none if they differ.
std::optional<tensor::DType> common_dtype(const Graph& graph, const std::vector<int>& weights,
                                          const PassContext& context);
/// The parts in the new graph.
graph::LinearParts<graph::Value> mapped(graph::Copier& copier, const graph::LinearParts<int>& parts);

}  // namespace tenon::compiler
