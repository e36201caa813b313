// Which tensor of a checkpoint is which weight of a graph, strictly: every tensor is consumed once or ignored by name.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "graph/graph.h"
#include "model/model_config.h"
#include "model/weight_adapter.h"
#include "weights/checkpoint.h"

namespace tenon::model {

struct WeightBinding {
  std::string file_name;  ///< the tensor's name in the checkpoint; of experts with a tensor each, the first's
  Transform transform;
  const tensor::TensorView* tensor = nullptr;
  struct Expert {
    std::string file_name;
    const tensor::TensorView* tensor = nullptr;
    const tensor::TensorView* companion = nullptr;
  };
  const tensor::TensorView* companion = nullptr;  ///< scales beside the tensor: of MXFP4 blocks, or of F8_E4M3
  std::vector<Expert> experts = {};               ///< a tensor an expert, or none: all are in `tensor`
  std::vector<graph::WeightUse> uses;

  tensor::DType held() const;  ///< the dtype of its rows
};

struct WeightMap {
  std::map<std::string, WeightBinding> bindings;  ///< by our name
  std::vector<std::string> ignored;               ///< tensors of the checkpoint
  std::vector<std::string> gaps;                  ///< a sentence for each thing that is wrong
  std::int64_t parameters = 0;                    ///< elements of all bound tensors
};

/// Never fails: what is wrong is in `gaps`. A shape that contradicts the graph is explained by the config's fields.
WeightMap map_weights(const graph::Graph& graph, const weights::Checkpoint& checkpoint, const WeightAdapter& adapter,
                      const ModelConfig& config);

/// The first gap as an error, with how many more there are.
Status check(const WeightMap& map);

}  // namespace tenon::model
