// The state of lowering a graph; private to lowering/.
#pragma once

#include <map>
#include <optional>
#include <tuple>

#include "compiler/lowering/lower.h"
#include "graph/ops/op.h"
#include "runtime/steps/attention.h"
#include "runtime/steps/experts.h"
#include "runtime/steps/rope.h"

namespace tenon::compiler {

/// The grouping of one router's choices: where it lies.
struct ExpertGrouping {
  View view;
  runtime::GroupingPlace place;  ///< its offset is set by the memory plan
};

/// Rows packed for the matmuls of each expert: where they lie.
struct ExpertOperand {
  View view;
  runtime::ExpertOperandPlace place;  ///< its offset is set by the memory plan
};

class Lowerer {
 public:
  Lowerer(const Graph& graph, const PassContext& context, const CompileOptions& options);
  /// GraphError where something cannot be lowered.
  Lowered run();

 private:
  using Make = decltype(LoweredStep::make);

  // -- values
  const graph::Type& type(int value) const { return graph_.info(value).type; }
  Rows rows(int value) const;
  std::int64_t columns(int value) const;  ///< elements of a row: all dims but the first
  int add_storage(std::int64_t bytes);
  View new_view(Rows rows, std::int64_t columns);
  const View& view(int value) const;
  View contiguous(int value);  ///< the value, copied if its rows do not follow one another closely
  /// A view for the result of the current node: over `input` if that is dead afterwards and may be overwritten.
  View result_over(int input);
  bool dead_after_this_node(const View& view, int except_input) const;
  void set(int value, const View& view) { views_[static_cast<std::size_t>(value)] = view; }

  // -- weights
  std::int64_t vector(const std::vector<int>& values);
  bool is_vector(int value) const;
  /// The table [buckets, heads] by head and distance, as kernels::AttentionTask wants it.
  runtime::RelativeBiasPlace relative_bias(int table, std::int64_t max_distance);
  /// Weights beside one another; of stacked ones [experts, n, k] the place of the first expert's, which the others
  /// follow. `alternate`: their panels take turns (gate, up).
  runtime::MatrixPlace matrix(const std::vector<int>& weights, bool alternate);
  std::int64_t reserve_weights(std::int64_t bytes);

  // -- steps
  static Access read(const View& view, bool own_rows = true) {
    return {view.storage, view.begin, view.end(), false, own_rows};
  }
  static Access write(const View& view, bool own_rows = true) {
    return {view.storage, view.begin, view.end(), true, own_rows};
  }
  void emit_rows(Rows rows, std::vector<Access> accesses, Make make);
  void emit_items(std::vector<Access> accesses, Make make);
  /// Copies `groups` runs of columns, which lie from_group apart there, and here to_group (0: beside one another).
  void emit_copy(const View& from, const View& to, std::int64_t groups, std::int64_t from_group,
                 std::int64_t to_group = 0);
  int cache_storage(std::int64_t layer);

  // -- ops
  void lower_node(const Node& node);
  void lower_embedding(const Node& node);
  void lower_rowwise(const Node& node);
  void lower_pack(const Node& node);
  void lower_linear(const Node& node);
  void lower_reshape(const Node& node);
  void lower_slice(const Node& node);
  void lower_concat(const Node& node);
  void lower_gather(const Node& node);
  void lower_rope_table(const Node& node);
  void lower_rope(const Node& node);
  void lower_kv_append(const Node& node);
  void lower_attention(const Node& node);
  void lower_route_experts(const Node& node);
  void lower_expert_linear(const Node& node);
  void lower_combine_experts(const Node& node);
  void lower_scale_experts(const Node& node);
  void lower_head_linear(const Node& node);
  void lower_position_temperature(const Node& node);
  void lower_state_append(const Node& node);
  void lower_short_conv(const Node& node);
  /// Rows of values [T, top_k, n] lie sorted by expert (experts.cpp): only what treats every row alike may see them.
  void check_grouped(const Node& node);
  /// The grouping of the choices `ids`, made by a step when first asked for.
  const ExpertGrouping& grouping(int ids);
  /// x packed for the matmuls of each expert.
  const ExpertOperand& expert_operand(int x, int ids, tensor::DType dtype);
  runtime::RopeData rope_shape(const Node& node, int x, int table) const;
  void check_layer(const Node& node, const graph::Type& cache) const;
  void expect_input(int value, const char* name) const;
  [[noreturn]] void reject(const std::string& what) const;

  void keep_taps_of(const Node& node);
  void keep_output();

  const Graph& graph_;
  const PassContext& context_;
  const CompileOptions& options_;
  Lowered out_;
  const Node* node_ = nullptr;  // being lowered
  std::size_t index_ = 0;       // of it
  std::vector<std::optional<View>> views_;
  std::vector<int> packed_of_;         // value -> packed operand, or -1
  std::vector<std::size_t> last_use_;  // value -> last node that reads it
  std::map<std::vector<int>, std::int64_t> vectors_;
  std::map<std::vector<int>, std::size_t> matrices_;
  std::map<std::string, std::size_t> tables_;
  std::map<std::int64_t, int> caches_;
  std::map<int, int> grouped_;  // value whose rows are sorted by expert -> the ids that it was sorted by
  std::map<int, ExpertGrouping> groupings_;
  std::map<std::tuple<int, int, tensor::DType>, ExpertOperand> expert_operands_;
};

}  // namespace tenon::compiler
