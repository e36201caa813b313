// The interface that a model class implements. A missing method is a compile error.
#pragma once

#include <cstdint>
#include <vector>

#include "graph/graph.h"
#include "tensor/kv_layout.h"

namespace tenon::model {

/// An embedding model's output is hidden states [sampled_rows, hidden_size] in place of logits.
enum class Task : std::uint8_t { kTextGeneration, kEmbedding };

struct BuildContext {
  graph::Graph& graph;
  const tensor::KvLayout& kv_layout;  ///< its layers are kv_parameters()
  int max_length;  ///< the context that is served; only dynamic rope scaling and LongRoPE depend on it
  Task task = Task::kTextGeneration;  ///< the architecture's, or the other one that it supports too
};

class PipelineModel {
 public:
  virtual ~PipelineModel() = default;

  /// What each layer keeps in the KV cache, in the order of kv_append's `layer`.
  virtual std::vector<tensor::KvLayer> kv_parameters() const = 0;

  /// Records the equations: inputs by nn::RaggedBatch, an output "logits" [sampled_rows, vocab_size], or
  /// "hidden_states" [sampled_rows, hidden_size] for the task kEmbedding. May throw graph::GraphError.
  virtual void build(const BuildContext& context) const = 0;
};

}  // namespace tenon::model
