// Runs a graph over the scalar references: slow, obvious, the oracle for kernels and passes.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "graph/graph.h"
#include "graph/reference.h"
#include "tensor/batch_layout.h"
#include "tensor/row_view.h"

namespace tenon::graph {

/// A row view as float32 [n, k].
std::vector<float> to_floats(const tensor::RowView& rows);

/// The inputs of kBatchInputs by name.
std::map<std::string, Tensor> batch_inputs(const tensor::Batch& batch);

class Interpreter {
 public:
  /// A weight's elements as float32, row-major, by its name.
  using Weights = std::function<std::vector<float>(const std::string& name)>;

  Interpreter(const Graph& graph, const Weights& weights);

  struct Results {
    std::map<std::string, Tensor> outputs, taps;
  };
  /// `inputs` holds every input of the graph; sizes of symbolic dims are taken from them, and must agree. The KV cache
  /// lasts from run to run.
  Results run(const std::map<std::string, Tensor>& inputs);

 private:
  std::unique_ptr<Graph> graph_;  // plain ops only
  std::map<int, Tensor> fixed_;   // weights and constants by value
  KvStore kv_;
};

}  // namespace tenon::graph
