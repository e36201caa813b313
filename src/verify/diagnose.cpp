#include "verify/diagnose.h"

#include <algorithm>
#include <cmath>

#include "graph/copier.h"
#include "verify/compare.h"

namespace tenon::verify {
namespace {

using graph::Graph;
using graph::Tensor;

constexpr std::size_t kMostCauses = 4;

Tensor first_rows(const float* data, std::int64_t rows, std::int64_t width) {
  return {.dims = {rows, width}, .f32 = {data, data + rows * width}};
}

/// One diagnosis in the making.
class Search {
 public:
  Search(const Subject& subject, const Reference& reference, std::int64_t rows, ThreadPool& pool, double tolerance)
      : subject_(subject),
        tolerance_(tolerance > 0 ? tolerance : local_tolerance(reference.dtype)),
        evaluator_(subject.weights, {reference.prompts[0].begin(), reference.prompts[0].begin() + rows}, pool),
        logits_(first_rows(reference.logits[0].data(), rows, reference.vocab)),
        graph_(graph::decompose(*subject.graph)) {
    for (const auto& [name, value] : graph_->taps()) {
      const auto tap = reference.tap(name);
      if (!tap) continue;
      evaluator_.know(name, first_rows(tap->values.data(), rows, tap->width));
      order_.push_back(name);
    }
    order_.push_back("logits");
  }

  Result<Diagnosis> run() {
    for (std::size_t i = 0; i < order_.size(); ++i) {
      TENON_ASSIGN(RowDifference d, difference(*graph_, order_[i]));
      if (out_.causes.empty()) out_.local.emplace_back(order_[i], d.error);
      if (d.error <= tolerance_) {
        evaluator_.forget();
        continue;
      }
      if (out_.first.empty()) out_.first = order_[i], out_.error = d.error, out_.first_row = d.first;
      if (out_.causes.size() == kMostCauses || !explain(i, d)) {
        out_.unexplained = order_[i];
        break;
      }
      evaluator_.forget();
    }
    return std::move(out_);
  }

 private:
  const Tensor& expected(const std::string& name) const { return name == "logits" ? logits_ : *evaluator_.known(name); }

  static int value_of(const Graph& graph, const std::string& name) {
    for (const auto& [tap, value] : name == "logits" ? graph.outputs() : graph.taps()) {
      if (tap == name) return value;
    }
    return -1;
  }

  Result<RowDifference> difference(const Graph& graph, const std::string& name) {
    const int value = value_of(graph, name);
    if (value < 0) return invalid("the graph has no " + name);
    TENON_ASSIGN(const Tensor ours, evaluator_.evaluate(graph, value, true));
    const Tensor& reference = expected(name);
    if (ours.dims != reference.dims) {
      return invalid("the reference dump is of another model: " + name + " is " + std::to_string(reference.last()) +
                     " wide there and " + std::to_string(ours.last()) + " here");
    }
    return compare_rows(reference.f32, ours.f32, reference.last(), tolerance_);
  }

  // Finds and applies the change that explains tap i.
  bool explain(std::size_t i, const RowDifference& d) {
    const std::string& tap = order_[i];
    Trial trial(evaluator_, *graph_, subject_.background, tap, value_of(*graph_, tap), expected(tap), d.error, d.first);
    for (const auto hypotheses : {try_activations, try_experts, try_scales, try_residuals, try_biases, try_norms,
                                  try_heads, try_attention, try_rope, try_weights}) {
      hypotheses(trial);
    }
    const std::vector<Outcome> accepted = trial.accepted(tolerance_);
    if (accepted.empty()) return false;
    const Outcome& best = accepted.front();
    Cause cause{.kind = best.change.kind,
                .text = best.change.text,
                .tap = tap,
                .everywhere = true,
                .before = d.error,
                .after = best.error};
    for (const Outcome& other : accepted) {
      if (other.change.kind != cause.kind && as_good(other.error, best.error)) {
        cause.as_good.push_back(other.change.kind + ": " + other.change.text);
      }
    }
    apply(best.change, i, cause);
    out_.causes.push_back(std::move(cause));
    return true;
  }

  // How many taps after the i-th diverge.
  int diverging(const Graph& graph, std::size_t i) {
    int count = 0;
    for (std::size_t j = i + 1; j < order_.size(); ++j) {
      const auto d = difference(graph, order_[j]);
      count += !d || d->error > tolerance_;
      evaluator_.forget();
    }
    return count;
  }

  // In every layer, unless that makes more of them wrong than a change of this layer alone.
  void apply(const Change& change, std::size_t i, Cause& cause) {
    const std::string layer = layer_of(order_[i]);
    std::unique_ptr<Graph> here, all;
    try {
      if (!change.one_layer) all = rewrite(*graph_, change, nullptr);
      here = rewrite(*graph_, change, &layer);
      const auto d = difference(*here, order_[i]);
      if (all != nullptr && (!d || d->error > tolerance_)) here = nullptr;  // it reaches beyond one layer
    } catch (const graph::GraphError&) {
      here = nullptr;
    }
    if (all == nullptr || (here != nullptr && diverging(*all, i) > diverging(*here, i))) {
      cause.everywhere = false;
      all = std::move(here);
    }
    if (all != nullptr) graph_ = std::move(all);
  }

  const Subject& subject_;
  double tolerance_;
  Evaluator evaluator_;
  Tensor logits_;
  std::unique_ptr<Graph> graph_;
  std::vector<std::string> order_;
  Diagnosis out_;
};

}  // namespace

double local_tolerance(const std::string& reference_dtype) {
  const bool rounded = reference_dtype == "bfloat16" || reference_dtype == "float16";
  return rounded ? 3e-2 : 3e-4;
}

Result<Diagnosis> diagnose(const Subject& subject, const Reference& reference, std::int64_t rows, ThreadPool& pool,
                           double tolerance) {
  // Without taps every change means a run of the whole model: only for small ones.
  constexpr std::int64_t kSmall = 20'000'000;
  std::int64_t parameters = 0;
  for (const auto& request : subject.graph->weights()) {
    std::int64_t elements = 1;
    for (const graph::Dim& dim : request.type.dims) elements *= dim.size();
    parameters += elements;
  }
  if (!reference.has_taps() && parameters > kSmall) {
    return invalid("the reference dump holds no taps: make it without --no-taps to learn which layer diverges and why");
  }
  rows = std::min(rows, static_cast<std::int64_t>(reference.prompts[0].size()));
  return Search(subject, reference, rows, pool, tolerance).run();
}

}  // namespace tenon::verify
