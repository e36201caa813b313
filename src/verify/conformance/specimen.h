// A tiny model of an architecture with random weights, in memory.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "compiler/compile.h"
#include "graph/graph.h"
#include "model/architecture.h"
#include "verify/runner.h"

namespace tenon::verify {

/// A random weight of a graph, by our name.
struct RandomWeight {
  std::string bytes;
  tensor::Shape shape;
  tensor::RowView rows;  ///< of `bytes`
};

/// Weights for every request of a graph: matrices of `format` (float32 where their rows are no whole blocks of it),
/// vectors of float32, near 1 or, for biases, near 0.
class RandomWeights final : public compiler::WeightProvider {
 public:
  RandomWeights(const graph::Graph& graph, tensor::DType format);
  Result<tensor::DType> dtype(const std::string& name) override;
  Result<tensor::RowView> weight(const std::string& name) override;
  void release(const std::string&) override {}
  const std::map<std::string, RandomWeight>& all() const { return weights_; }
  int matrices_of_format() const { return matrices_of_format_; }

 private:
  std::map<std::string, RandomWeight> weights_;
  int matrices_of_format_ = 0;
};

/// A config.json understood and built.
struct Specimen {
  const model::Architecture* architecture = nullptr;
  Json json;
  std::shared_ptr<const model::ModelConfig> config;
  std::unique_ptr<model::PipelineModel> model;
  tensor::KvLayout layout;
  graph::Graph graph;

  /// An error is the first thing that is wrong with the config or the graph; also a model of more than 2^26 weights.
  static Result<std::unique_ptr<Specimen>> build(const model::Architecture& architecture, const Json& config);

  /// `float_dtype` (float32 or bfloat16) is that of matrices which are not quantized, and of the KV cache.
  Result<std::unique_ptr<Runner>> compile(RandomWeights& weights, tensor::DType float_dtype) const;

  /// Token ids of four lengths, the first several pages long where the context allows it.
  std::vector<Ids> prompts() const;
  std::int64_t parameters() const;
};

/// The config with rows of whole blocks of 256, so that every format fits: more heads of the same size.
Json widened(const Json& config);

inline constexpr int kSpecimenTokens = 128;  ///< of one step

}  // namespace tenon::verify
