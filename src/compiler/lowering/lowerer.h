// The state of lowering a graph; private to lowering/.
#pragma once

#include <map>
#include <optional>

#include "compiler/lowering/lower.h"
#include "graph/ops/op.h"
#include "runtime/steps/rope.h"

namespace tenon::compiler {

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
  runtime::MatrixPlace matrix(const graph::LinearParts<int>& parts);
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
  void emit_copy(const View& from, const View& to, std::int64_t groups, std::int64_t from_group);
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
};

}  // namespace tenon::compiler
