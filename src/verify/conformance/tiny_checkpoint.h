// Random weights written as the architecture's own checkpoints are: its weight adapter backwards.
#pragma once

#include <string>
#include <vector>

#include "model/weight_adapter.h"
#include "verify/conformance/specimen.h"

namespace tenon::verify {

struct FileTensor {
  std::string name;
  tensor::Shape shape;
  std::string bytes;  ///< float32
};

/// The tensors of a checkpoint from which `adapter` makes `weights` (float32). Of several spellings the first of the
/// adapter's table is taken. An error names a weight that no rule makes.
Result<std::vector<FileTensor>> file_tensors(const std::map<std::string, RandomWeight>& weights,
                                             const model::WeightAdapter& adapter);

/// config.json and model.safetensors in `directory`, which is made if need be.
Status write_checkpoint(const std::string& directory, const Json& config, const std::vector<FileTensor>& tensors);

}  // namespace tenon::verify
