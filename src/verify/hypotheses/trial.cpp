#include "verify/hypotheses/trial.h"

#include <algorithm>
#include <cmath>
#include <cstdio>

#include "verify/compare.h"

namespace tenon::verify {

using graph::Node;

Trial::Trial(Evaluator& evaluator, const graph::Graph& graph, const Background& background, std::string tap, int target,
             const graph::Tensor& reference, double error, std::int64_t first_row)
    : evaluator_(evaluator),
      graph_(graph),
      background_(background),
      tap_(std::move(tap)),
      layer_(layer_of(tap_)),
      target_(target),
      reference_(reference),
      error_(error),
      first_row_(first_row),
      nodes_(evaluator.segment(graph, target)) {
  if (auto value = evaluator_.evaluate(graph_, target_, true)) ours_ = std::move(*value);
}

std::vector<int> Trial::nodes_of(const graph::Op& op) const {
  std::vector<int> out;
  std::ranges::copy_if(nodes_, std::back_inserter(out), [&](int i) { return node(i).op == &op; });
  return out;
}

const Node* Trial::maker(int value) const {
  const int index = graph_.info(value).node;
  return index < 0 ? nullptr : &node(index);
}

std::set<int> Trial::known_values() const {
  std::set<int> values;
  for (const auto& [name, value] : graph_.taps()) {
    if (evaluator_.known(name) != nullptr) values.insert(value);
  }
  return values;
}

std::map<int, std::string> Trial::makers_of_peers() const {
  std::map<int, std::string> makers;
  for (const auto& [name, value] : tap_ == "logits" ? graph_.outputs() : graph_.taps()) {
    const std::string layer = layer_of(name);
    const bool peer = layer.empty() ? name == tap_ : name.substr(layer.size()) == tap_.substr(layer_.size());
    if (peer && layer.empty() == layer_.empty()) makers[graph_.info(value).node] = layer;
  }
  return makers;
}

double Trial::measure(const Change& change) {
  try {
    const auto changed = rewrite(graph_, change, nullptr);
    int target = -1;
    for (const auto& [name, value] : tap_ == "logits" ? changed->outputs() : changed->taps()) {
      if (name == tap_) target = value;
    }
    const auto value = target < 0 ? Result<graph::Tensor>(invalid("")) : evaluator_.evaluate(*changed, target, false);
    if (!value || value->dims != reference_.dims) return INFINITY;
    return compare_rows(reference_.f32, value->f32, reference_.last(), 0).error;
  } catch (const graph::GraphError&) {
    return INFINITY;  // the change does not fit this graph
  }
}

double Trial::test(const Change& change) {
  const double error = measure(change);
  if (error < 0.1 * error_) outcomes_.push_back({change, error});
  return error;
}

void Trial::search(const std::vector<double>& candidates, double low, double high,
                   const std::function<Change(double)>& change) {
  const double found_at = std::min(1e-4, 0.1 * error_);
  double best = INFINITY;
  for (const double x : candidates) best = std::min(best, test(change(x)));
  if (best < found_at) return;
  // A grid over the logarithm, then the golden section around its best point.
  constexpr int kPoints = 41, kSteps = 36;
  const auto at = [&](double log_x) { return measure(change(std::exp(log_x))); };
  const double from = std::log(low), step = (std::log(high) - from) / (kPoints - 1);
  double middle = from, least = INFINITY;
  for (int i = 0; i < kPoints; ++i) {
    const double error = at(from + i * step);
    if (error < least) least = error, middle = from + i * step;
  }
  if (!std::isfinite(least) || least >= 0.95 * error_) return;
  double a = middle - step, b = middle + step;
  constexpr double kGolden = 0.6180339887498949;
  double c = b - kGolden * (b - a), d = a + kGolden * (b - a), at_c = at(c), at_d = at(d);
  for (int i = 0; i < kSteps; ++i) {
    if (at_c < at_d) {
      b = d, d = c, at_d = at_c, c = b - kGolden * (b - a), at_c = at(c);
    } else {
      a = c, c = d, at_c = at_d, d = a + kGolden * (b - a), at_d = at(d);
    }
  }
  const double found = std::exp((a + b) / 2), error = measure(change(found));
  // The same with fewer digits, if it is as good: 10000 rather than 10000.04.
  for (const char* format : {"%.1g", "%.2g", "%.3g", "%.4g"}) {
    char text[32];
    std::snprintf(text, sizeof text, format, found);
    const double rounded = std::atof(text);
    if (measure(change(rounded)) > 1.2 * error + 1e-6) continue;
    test(change(rounded));
    return;
  }
  test(change(found));
}

std::vector<Outcome> Trial::accepted(double tolerance) const {
  std::vector<Outcome> out;
  std::ranges::copy_if(outcomes_, std::back_inserter(out),
                       [&](const Outcome& o) { return o.error <= tolerance && o.error < 0.1 * error_; });
  // Of those that do equally well the first that was tried is put first: hypotheses go from plain to far-fetched.
  if (out.empty()) return out;
  const double best = std::ranges::min(out, {}, &Outcome::error).error;
  std::ranges::stable_sort(out, {}, [&](const Outcome& o) { return as_good(o.error, best) ? best : o.error; });
  return out;
}

bool as_good(double error, double best) { return error <= 3 * best + 1e-6; }

std::string shown(double number) {
  char text[32];
  std::snprintf(text, sizeof text, "%.7g", number);
  return text;
}

}  // namespace tenon::verify
