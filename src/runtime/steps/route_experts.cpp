// The router. Scalar code: some hundred numbers a token.
#include <algorithm>
#include <array>
#include <cmath>
#include <limits>

#include "runtime/steps/experts.h"

namespace tenon::runtime {
namespace {

constexpr float kNever = -std::numeric_limits<float>::infinity();

// Moves the largest of n to `taken`'s front: its index; the lowest among equals, NaN last. `taken` marks those gone.
int take_largest(const float* x, int n, std::uint8_t* taken) {
  int best = -1;
  for (int i = 0; i < n; ++i) {
    if (taken[i] == 0 && (best < 0 || x[i] > x[best] || (std::isnan(x[best]) && !std::isnan(x[i])))) best = i;
  }
  taken[best] = 1;
  return best;
}

void softmax(const float* x, int n, float* y) {
  const float most = *std::max_element(x, x + n);
  double sum = 0;
  for (int i = 0; i < n; ++i) sum += y[i] = std::exp(x[i] - most);
  for (int i = 0; i < n; ++i) y[i] = static_cast<float>(y[i] / sum);
}

}  // namespace

std::string RouteExpertsStep::describe() const {
  static constexpr std::array kScorings = {"softmax", "sigmoid", "softmax_of_chosen", "sigmoid_of_chosen"};
  return std::string(kScorings[static_cast<std::size_t>(data_.scoring)]).append(data_.normalize ? " normalize " : " ") +
         arrow({data_.experts, data_.top_k}, data_.logits, data_.ids);
}

std::int64_t RouteExpertsStep::scratch_bytes(const kernels::Kernels&, const Limits&, const tensor::KvLayout&) const {
  return data_.experts * static_cast<std::int64_t>(2 * sizeof(float) + sizeof(std::uint8_t));
}

void RouteExpertsStep::execute(const Run& run, std::int64_t begin, std::int64_t end, int thread) const {
  auto* scores = reinterpret_cast<float*>(run.scratch(thread));
  for (std::int64_t row = begin; row < end; ++row) route(run, row, scores, scores + data_.experts);
}

void RouteExpertsStep::route(const Run& run, std::int64_t row, float* scores, float* choice) const {
  const Data& d = data_;
  const float* logits = run.floats(d.logits, row);
  auto* ids = reinterpret_cast<std::int32_t*>(run.floats(d.ids, row));
  float* weights = run.floats(d.weights, row);
  if (d.scoring == Scoring::kSoftmax) {
    softmax(logits, d.experts, scores);
  } else if (d.scoring == Scoring::kSigmoid) {
    for (int e = 0; e < d.experts; ++e) scores[e] = 1.0f / (1.0f + std::exp(-logits[e]));
  } else {
    std::copy_n(logits, d.experts, scores);
  }
  const float* bias = d.correction_bias ? run.vector(*d.correction_bias) : nullptr;
  for (int e = 0; e < d.experts; ++e) choice[e] = bias != nullptr ? scores[e] + bias[e] : scores[e];
  if (d.n_group > 1) keep_groups(choice);
  auto* taken = reinterpret_cast<std::uint8_t*>(choice + d.experts);
  std::fill_n(taken, d.experts, std::uint8_t{0});
  for (int j = 0; j < d.top_k; ++j) {
    ids[j] = take_largest(choice, d.experts, taken);
    weights[j] = scores[ids[j]];
  }
  if (d.scoring == Scoring::kSoftmaxOfChosen) softmax(weights, d.top_k, weights);
  if (d.scoring == Scoring::kSigmoidOfChosen) {
    for (int j = 0; j < d.top_k; ++j) weights[j] = 1.0f / (1.0f + std::exp(-weights[j]));
  }
  float sum = d.epsilon;
  for (int j = 0; j < d.top_k; ++j) sum += weights[j];
  for (int j = 0; j < d.top_k; ++j) weights[j] = (d.normalize ? weights[j] / sum : weights[j]) * d.scale;
}

// Experts outside the best groups cannot be chosen.
void RouteExpertsStep::keep_groups(float* choice) const {
  const int size = data_.experts / data_.n_group;
  auto* taken = reinterpret_cast<std::uint8_t*>(choice + data_.experts);
  const auto score = [&](const float* group) {
    float first = kNever, second = kNever;
    for (int i = 0; i < size; ++i) {
      if (group[i] > first) {
        second = first, first = group[i];
      } else if (group[i] > second) {
        second = group[i];
      }
    }
    return data_.sum_of_two && size > 1 ? first + second : first;
  };
  // The scores of the groups are few, and the scratch has no room for them: the worst group is struck out until
  // topk_group are left. Of equals the later one goes.
  std::fill_n(taken, data_.n_group, std::uint8_t{0});
  for (int gone = 0; gone < data_.n_group - data_.topk_group; ++gone) {
    int worst = -1;
    float least = 0;
    for (int g = 0; g < data_.n_group; ++g) {
      if (taken[g] != 0) continue;
      const float s = score(choice + g * size);
      if (worst < 0 || s <= least) worst = g, least = s;
    }
    taken[worst] = 1;
  }
  for (int e = 0; e < data_.experts; ++e) {
    if (taken[e / size] != 0) choice[e] = kNever;
  }
}

}  // namespace tenon::runtime
