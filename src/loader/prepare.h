// All of the model path before compilation: files -> config -> architecture -> graph, with the weights found by name.
#pragma once

#include <functional>
#include <memory>
#include <set>
#include <string>

#include "loader/encoding.h"
#include "loader/loader.h"
#include "model/registry.h"
#include "model/weight_map.h"

namespace tenon::loader {

struct PreparedModel {
  std::string name;
  model::RegistryEntry entry;
  std::shared_ptr<const model::ModelConfig> config;
  std::unique_ptr<model::PipelineModel> model;
  std::shared_ptr<const weights::Checkpoint> checkpoint;  ///< null: a directory with neither weights nor tensors.json
  bool has_data = false;                                  ///< false: shapes only
  std::unique_ptr<graph::Graph> graph;
  model::WeightMap weights;
  EncodingChoice encoding;
  tensor::KvLayout kv_layout;
  int max_length = 0;
  TextAssets text;
  std::optional<Embedding> embedding;  ///< of an embedding model

  /// What the compiler wants for `options`.
  compiler::CompileOptions compile_options(const LoadOptions& options) const;
};

/// `strict`: the weights must be there and without gaps, as for load(); else gaps are left in `weights` for inspect(),
/// and a directory may have a tensors.json (names and shapes) in place of weights, or nothing.
Result<PreparedModel> prepare(const LoadOptions& options, bool strict);

/// The names and shapes of a tensors.json: {"storage_dtype", "tensors": [{"name": "layers.{i}.w", "shape", "range":
/// {"i": [0, 29]}, "dtype"?}]} with patterns written out, as weights::shapes_only takes them.
Result<Json> expand_tensors(const Json& tensors);

/// Weights of a checkpoint for the compiler.
class CheckpointWeights final : public compiler::WeightProvider {
 public:
  /// The rows that it hands out keep the checkpoint's files mapped. `map` outlives it.
  CheckpointWeights(std::shared_ptr<const weights::Checkpoint> checkpoint, const model::WeightMap& map)
      : checkpoint_(std::move(checkpoint)), map_(map) {}
  Result<tensor::DType> dtype(const std::string& name) override;
  Result<tensor::RowView> weight(const std::string& name) override;
  void release(const std::string& name) override;
  std::function<void()> release_later(const std::string& name) override;

 private:
  Result<const model::WeightBinding*> find(const std::string& name) const;

  std::shared_ptr<const weights::Checkpoint> checkpoint_;
  const model::WeightMap& map_;
  std::set<std::string> converted_;  ///< handed out as rows that do not lie in a file
};

}  // namespace tenon::loader
