// A graph with one thing changed: how a hypothesis about a wrong model is put to the test. Unlike a pass, a change may
// alter types (another head_dim); shape rules then check what follows.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "graph/graph.h"

namespace tenon::verify {

/// "model.layers.3" of "model.layers.3.self_attn.q_proj.weight"; "" if the name has no number.
std::string layer_of(const std::string& name);

class Rewriter;

/// One change. Both functions may be null.
struct Change {
  std::string kind;        ///< "rope theta": what tests and --json go by
  std::string text;        ///< a sentence: what the reference does, and what this graph does
  bool one_layer = false;  ///< it can only be true of the layer at hand: a vector found in its output
  /// Records what takes a node's place, by Rewriter::set of its outputs; false: the node is copied.
  std::function<bool(Rewriter& to, int node)> node;
  /// The name of a weight in its layer ("mlp.gate_proj.weight") -> the one to be used in its place. A name that ends
  /// in kTransposed is the matrix transposed.
  std::function<std::string(const std::string& layer, const std::string& name)> weight;
};
inline constexpr const char* kTransposed = "#transposed";

class Rewriter {
 public:
  Rewriter(const graph::Graph& from, const Change& change);

  const graph::Graph& from() const { return from_; }
  graph::Graph& graph() { return *to_; }
  const graph::Node& node(int index) const { return from_.nodes()[static_cast<std::size_t>(index)]; }
  /// The node that makes a value of the old graph, or null.
  const graph::Node* maker(int old) const;

  /// What an old value is in the new graph.
  graph::Value value(int old);
  void set(int old, graph::Value value) { map_[static_cast<std::size_t>(old)] = value.id(); }
  /// Records the node as it is; returns its first output.
  graph::Value copy(int index);
  /// The same with other attributes.
  graph::Value copy_with(int index, graph::Attributes attributes);
  /// A weight by its name, also one that the old graph does not use.
  graph::Value weight(const std::string& name, std::vector<graph::Dim> shape);

 private:
  friend std::unique_ptr<graph::Graph> rewrite(const graph::Graph&, const Change&, const std::string*);
  const graph::Graph& from_;
  const Change& change_;
  const std::string* layer_ = nullptr;
  std::unique_ptr<graph::Graph> to_;
  std::vector<int> map_;
};

/// The changed graph. `layer`: only there (null: wherever the change applies). GraphError if it contradicts itself.
std::unique_ptr<graph::Graph> rewrite(const graph::Graph& graph, const Change& change, const std::string* layer);

}  // namespace tenon::verify
