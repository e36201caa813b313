// Computes one tapped value of a graph in float32 from the reference's own values of the taps before it, so that each
// part of a model is judged by itself. Ops run by their scalar references, but for matmuls, which run on the pool.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "base/result.h"
#include "base/thread_pool.h"
#include "graph/interpreter.h"
#include "tensor/row_view.h"

namespace tenon::verify {

class Evaluator {
 public:
  /// The rows of a weight, by its name.
  using Weights = std::function<Result<tensor::RowView>(const std::string& name)>;

  /// One sequence of tokens at the positions 0, 1, …; the logits of all are wanted.
  Evaluator(Weights weights, std::vector<std::int32_t> ids, ThreadPool& pool);

  /// The reference's value of a tap: [tokens, width].
  void know(const std::string& tap, graph::Tensor value) { known_[tap] = std::move(value); }
  const graph::Tensor* known(const std::string& tap) const;

  /// Nodes that `target` (a value) needs, up to the known taps before it; ascending.
  std::vector<int> segment(const graph::Graph& graph, int target) const;

  /// The value of `target` computed from the known taps before it. What was computed once is remembered: by the graph's
  /// structure, so also for a changed graph where it is the same. `keep` remembers until forget(), else until the next
  /// call.
  Result<graph::Tensor> evaluate(const graph::Graph& graph, int target, bool keep);
  void forget() { kept_.clear(), trial_.clear(), weights_cache_.clear(); }

 private:
  struct Entry {
    graph::Tensor tensor;
    std::shared_ptr<graph::KvStore> kv;  ///< of kv_append
  };
  using Entries = std::vector<std::shared_ptr<Entry>>;
  using Memory = std::unordered_map<int, Entries>;  ///< a node's outputs, by the key of its structure

  std::map<int, std::string> leaves(const graph::Graph& graph, int target) const;
  int key(const std::string& text);
  Result<const graph::Tensor*> weight_tensor(const std::string& name, const graph::Type& type);
  Status run_node(const graph::Graph& graph, const graph::Node& node, const Entries& inputs, const Entries& outputs);
  Status linear(const graph::Tensor& x, const std::string& weight, graph::Tensor& out);
  Status embedding(const graph::Tensor& ids, const std::string& weight, graph::Tensor& out);
  Result<tensor::RowView> rows_of(const std::string& name);

  Weights weights_;
  std::map<std::string, graph::Tensor> inputs_, known_;
  std::map<std::string, std::int64_t, std::less<>> sizes_;
  ThreadPool& pool_;
  std::unordered_map<std::string, int> keys_;
  Memory kept_, trial_;
  std::map<std::string, std::shared_ptr<Entry>> weights_cache_;
};

}  // namespace tenon::verify
