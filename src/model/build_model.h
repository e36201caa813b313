// From an architecture and its config to the graph, checked.
#pragma once

#include <memory>

#include "base/result.h"
#include "graph/graph.h"
#include "model/architecture.h"
#include "model/pipeline_model.h"
#include "tensor/kv_layout.h"

namespace tenon::model {

/// Makes the model and lets it record `graph` (empty so far) and `kv_layout.layers`. The architecture may be a
/// plug-in's: whatever it throws is an error that names it. So is a graph that is not of one output, "logits" (for
/// Task::kEmbedding "hidden_states"), or in which a layer of the KV cache is not written exactly once: what reads it
/// would see another layer's keys and values.
Result<std::unique_ptr<PipelineModel>> build_model(const Architecture& architecture,
                                                   std::shared_ptr<const ModelConfig> config, int max_length, Task task,
                                                   graph::Graph& graph, tensor::KvLayout& kv_layout);

}  // namespace tenon::model
