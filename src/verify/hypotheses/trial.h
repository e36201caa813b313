// The part of a model that diverges, and the changes that are tried on it.
#pragma once

#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "base/json.h"
#include "tensor/shape.h"
#include "verify/evaluator.h"
#include "verify/rewriter.h"

namespace tenon::verify {

/// What the hypotheses know beside the graph.
struct Background {
  Json config = nullptr;                             ///< config.json; null: a GGUF file
  std::map<std::string, tensor::Shape> unused = {};  ///< tensors of the checkpoint that the graph does not use
};

struct Outcome {
  Change change;
  double error = 0;  ///< of the tap with the change
};

/// Tries changes on one tap, and keeps those that come near.
class Trial {
 public:
  /// `tap`'s value is `target`; `error` is its error as it is; `first_row` the first token that diverges.
  Trial(Evaluator& evaluator, const graph::Graph& graph, const Background& background, std::string tap, int target,
        const graph::Tensor& reference, double error, std::int64_t first_row);

  const graph::Graph& graph() const { return graph_; }
  const Background& background() const { return background_; }
  const std::string& tap() const { return tap_; }
  const std::string& layer() const { return layer_; }  ///< "model.layers.3", or ""
  int target() const { return target_; }
  const graph::Tensor& reference() const { return reference_; }
  const graph::Tensor& ours() const { return ours_; }
  std::int64_t first_row() const { return first_row_; }
  std::int64_t rows() const { return reference_.rows(); }
  /// The nodes between the taps before and this one.
  const std::vector<int>& nodes() const { return nodes_; }
  std::vector<int> nodes_of(const graph::Op& op) const;
  const graph::Node& node(int index) const { return graph_.nodes()[static_cast<std::size_t>(index)]; }
  /// The node that makes a value, or null.
  const graph::Node* maker(int value) const;
  /// The values of the taps that the reference knows.
  std::set<int> known_values() const;
  bool is_known(int value) const { return known_values().contains(value); }
  /// The nodes that make this tap, and those of the same place in other layers, each with its layer.
  std::map<int, std::string> makers_of_peers() const;
  bool is_weight(int value) const { return graph_.info(value).source == graph::Source::kWeight; }

  /// The tap's error with the change; infinite if the changed graph contradicts itself. Noted if it is the best yet.
  double test(const Change& change);
  /// One number: first `candidates`, then between `low` and `high` (both > 0) where the error is least.
  void search(const std::vector<double>& candidates, double low, double high,
              const std::function<Change(double)>& change);

  /// Outcomes whose error is no more than `tolerance` and a tenth of the error without a change; best first.
  std::vector<Outcome> accepted(double tolerance) const;

 private:
  double measure(const Change& change);

  Evaluator& evaluator_;
  const graph::Graph& graph_;
  const Background& background_;
  std::string tap_, layer_;
  int target_;
  const graph::Tensor& reference_;
  graph::Tensor ours_;
  double error_;
  std::int64_t first_row_;
  std::vector<int> nodes_;
  std::vector<Outcome> outcomes_;
};

/// Whether an error is as small as the best one, up to rounding.
bool as_good(double error, double best);

/// Every hypothesis, by what it looks at.
void try_rope(Trial& trial);
void try_norms(Trial& trial);
void try_attention(Trial& trial);
void try_heads(Trial& trial);
void try_activations(Trial& trial);
void try_experts(Trial& trial);
void try_scales(Trial& trial);
void try_biases(Trial& trial);
void try_residuals(Trial& trial);
void try_weights(Trial& trial);

/// A number as a reader writes it: up to seven digits.
std::string shown(double number);

}  // namespace tenon::verify
