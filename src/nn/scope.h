// A module's place in the checkpoint: its name and the graph that it records into.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "graph/graph.h"

namespace tenon::nn {

using graph::Dim;
using graph::Graph;
using graph::Value;
using graph::WeightUse;

/// "model.layers.0"; w / "mlp" is "model.layers.0.mlp". Cheap to copy. The graph outlives it.
class Scope {
 public:
  explicit Scope(Graph& graph, std::string name = "") : graph_(&graph), name_(std::move(name)) {}

  Scope operator/(std::string_view child) const;
  Scope operator/(int index) const { return *this / std::to_string(index); }

  const std::string& name() const { return name_; }
  Graph& graph() const { return *graph_; }

  /// The tensor `name() + "." + tensor` of the checkpoint. GraphError: it was asked for before, for the same use.
  Value weight(std::string_view tensor, std::vector<Dim> shape, WeightUse use) const;

  /// Names `value` by this module, for `tenon verify`; returns it.
  Value tap(Value value) const;

  /// While it lives, ops are noted as recorded by this module (IR, error messages).
  class [[nodiscard]] Entered {
   public:
    explicit Entered(const Scope& scope) : graph_(scope.graph_) { graph_->push_scope(scope.name_); }
    ~Entered() { graph_->pop_scope(); }
    Entered(const Entered&) = delete;
    Entered& operator=(const Entered&) = delete;

   private:
    Graph* graph_;
  };
  Entered enter() const { return Entered(*this); }

 private:
  Graph* graph_;
  std::string name_;
};

}  // namespace tenon::nn
