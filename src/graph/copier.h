// Makes a new graph from an old one, node by node: what every pass is written with.
#pragma once

#include <memory>
#include <vector>

#include "graph/graph.h"

namespace tenon::graph {

class Copier {
 public:
  explicit Copier(const Graph& from, bool keep_taps = true);

  const Graph& from() const { return from_; }
  Graph& graph() { return *to_; }

  /// What an old value is in the new graph. Inputs, weights and constants come over when they are first asked for; a
  /// node's value must have been copied or replaced before.
  Value value(int old);
  std::vector<Value> values(const std::vector<int>& old);

  /// Says what an old value is in the new graph.
  void replace(int old, Value value);
  void copy(const Node& node);
  /// Records an op of the new graph in the scope of an old node.
  Value record(const Op& op, const std::vector<Value>& inputs, Attributes attributes, const Node& in_scope_of);

  /// Outputs and taps come over, and nodes that nothing needs are left out.
  std::unique_ptr<Graph> finish();

 private:
  const Graph& from_;
  bool keep_taps_;
  std::unique_ptr<Graph> to_;
  std::vector<int> map_;  // old value -> new value, or -1
};

/// The graph without the nodes that no output or tap needs.
std::unique_ptr<Graph> without_dead_nodes(const Graph& graph);
/// Every fused op replaced by plain ops.
std::unique_ptr<Graph> decompose(const Graph& graph);

/// How often each value is used, by nodes, outputs and taps.
std::vector<int> count_uses(const Graph& graph);

}  // namespace tenon::graph
