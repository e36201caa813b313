#include "runtime/steps/experts.h"

#include <algorithm>
#include <array>

namespace tenon::runtime {
namespace {

std::int64_t first_part(const GroupingPlace& place) { return 2 * (place.experts + 1); }  // count, active, begin

}  // namespace

std::int64_t GroupingPlace::bytes(std::int64_t experts, std::int64_t top_k, std::int64_t most_tokens) {
  const GroupingPlace place{.offset = 0, .experts = experts, .top_k = top_k};
  return (first_part(place) + 3 * most_tokens * top_k) * static_cast<std::int64_t>(sizeof(std::int32_t));
}

Grouping::Grouping(const Run& run, const GroupingPlace& place)
    : active_count(reinterpret_cast<std::int32_t*>(run.arena + place.offset)),
      active(active_count + 1),
      begin(active + place.experts),
      slot_expert(begin + place.experts + 1),
      slot_token(slot_expert + run.rows(Rows::kTokens) * place.top_k),
      slot_of(slot_token + run.rows(Rows::kTokens) * place.top_k) {}

std::int64_t ExpertOperandPlace::most_row_bytes(const kernels::Kernels& kernels, tensor::DType weight_dtype,
                                                std::int64_t k, std::int64_t most_tokens) {
  std::int64_t most = 0;
  for (std::int64_t m = 1; m <= most_tokens; ++m) {
    most = std::max(most, (kernels.activation_layout(weight_dtype, m, k).bytes() + m - 1) / m);
  }
  return (most + 63) / 64 * 64;
}

std::string GroupByExpertStep::describe() const {
  return arrow({out_.top_k}, ids_, {.offset = out_.offset, .stride = out_.top_k});
}

void GroupByExpertStep::execute(const Run& run, std::int64_t, std::int64_t, int) const {
  const Grouping g(run, out_);
  const std::int64_t tokens = run.rows(Rows::kTokens);
  const auto ids = [&](std::int64_t t) { return reinterpret_cast<const std::int32_t*>(run.floats(ids_, t)); };
  std::fill_n(g.begin, out_.experts + 1, 0);
  for (std::int64_t t = 0; t < tokens; ++t) {
    for (std::int64_t j = 0; j < out_.top_k; ++j) ++g.begin[ids(t)[j] + 1];
  }
  *g.active_count = 0;
  for (std::int64_t e = 0; e < out_.experts; ++e) {
    if (g.begin[e + 1] > 0) g.active[(*g.active_count)++] = static_cast<std::int32_t>(e);
    g.begin[e + 1] += g.begin[e];
  }
  // begin[e] runs to the end of expert e's slots, and is set back afterwards.
  for (std::int64_t t = 0; t < tokens; ++t) {
    for (std::int64_t j = 0; j < out_.top_k; ++j) {
      const std::int32_t expert = ids(t)[j], slot = g.begin[expert]++;
      g.slot_expert[slot] = expert;
      g.slot_token[slot] = static_cast<std::int32_t>(t);
      g.slot_of[t * out_.top_k + j] = slot;
    }
  }
  std::copy_backward(g.begin, g.begin + out_.experts, g.begin + out_.experts + 1);
  g.begin[0] = 0;
}

std::string PackExpertsStep::describe() const {
  return std::string(tensor::name(data_.out.weight_dtype)).append(" ") +
         arrow({data_.out.k}, data_.x, {.offset = data_.out.offset, .stride = data_.out.k});
}

std::int64_t PackExpertsStep::items(const Run& run) const { return run.rows(Rows::kTokens) * data_.grouping.top_k; }

std::int64_t PackExpertsStep::scratch_bytes(const kernels::Kernels& k, const Limits& limits,
                                            const tensor::KvLayout&) const {
  if (!data_.gather) return 0;
  int row_block = 1;
  for (int m = 1; m <= limits.max_total_tokens; ++m) {
    row_block = std::max(row_block, k.activation_layout(data_.out.weight_dtype, m, data_.out.k).row_block);
  }
  return row_block * data_.out.k * static_cast<std::int64_t>(sizeof(float));
}

void PackExpertsStep::execute(const Run& run, std::int64_t begin, std::int64_t end, int thread) const {
  const Grouping g(run, data_.grouping);
  const std::int64_t k = data_.out.k;
  for (std::int64_t slot = begin; slot < end; ++slot) {
    const std::int32_t expert = g.slot_expert[slot];
    const std::int64_t rows = g.rows(expert), row = slot - g.begin[expert];
    const kernels::ActivationLayout layout = run.kernels->activation_layout(data_.out.weight_dtype, rows, k);
    if (row % layout.row_block != 0) continue;
    const float* x = run.floats(data_.x, slot);
    std::int64_t stride = data_.x.stride;
    if (data_.gather) {
      auto* gathered = reinterpret_cast<float*>(run.scratch(thread));
      for (std::int64_t i = 0; i < std::min<std::int64_t>(layout.row_block, rows - row); ++i) {
        std::copy_n(run.floats(data_.x, g.slot_token[slot + i]), k, gathered + i * k);
      }
      x = gathered, stride = k;
    }
    run.kernels->pack_activations(layout, row / layout.row_block, x, stride,
                                  run.arena + data_.out.offset + g.begin[expert] * data_.out.row_bytes);
  }
}

std::string ExpertMatmulStep::describe() const {
  static constexpr std::array kEpilogues = {"", " add", " silu_mul", " gelu_tanh_mul"};
  const MatrixPlace& w = data_.weight;
  return w.form()
      .append(data_.bias ? " bias" : "")
      .append(kEpilogues[static_cast<std::size_t>(data_.epilogue)])
      .append(" ")
      .append(arrow({data_.grouping.experts, w.n, w.k}, {.offset = data_.x.offset, .stride = w.k}, data_.out));
}

std::int64_t ExpertMatmulStep::items(const Run& run) const {
  return *Grouping(run, data_.grouping).active_count * items_of_expert();
}

void ExpertMatmulStep::execute(const Run& run, std::int64_t begin, std::int64_t end, int thread) const {
  const Grouping g(run, data_.grouping);
  const MatrixPlace& w = data_.weight;
  const std::int64_t size = items_of_expert();
  for (std::int64_t item = begin; item < end;) {
    const std::int64_t expert = g.active[item / size], in_expert = item % size;
    const std::int64_t count = std::min(size - in_expert, end - item);
    const kernels::MatmulTask task{.layout = run.kernels->activation_layout(w.dtype, g.rows(expert), w.k),
                                   .activations = run.arena + data_.x.offset + g.begin[expert] * data_.x.row_bytes,
                                   .y = run.floats(data_.out, g.begin[expert]),
                                   .ldy = data_.out.stride,
                                   .bias = data_.bias ? run.vector(*data_.bias) + expert * w.n : nullptr,
                                   .epilogue = data_.epilogue};
    multiply(run, w, expert, task, in_expert * panels_of_item(), (in_expert + count) * panels_of_item(), thread);
    item += count;
  }
}

std::string ScaleExpertsStep::describe() const {
  return arrow({data_.grouping.top_k, data_.columns}, data_.y, data_.out);
}

void ScaleExpertsStep::execute(const Run& run, std::int64_t begin, std::int64_t end, int) const {
  const Grouping g(run, data_.grouping);
  for (std::int64_t row = begin; row < end; ++row) {
    const float* weights = run.floats(data_.weights, row);
    for (std::int64_t j = 0; j < data_.grouping.top_k; ++j) {
      const std::int32_t slot = g.slot_of[row * data_.grouping.top_k + j];
      run.kernels->scale(run.floats(data_.y, slot), weights[j], run.floats(data_.out, slot), data_.columns);
    }
  }
}

std::string CombineExpertsStep::describe() const { return arrow({data_.columns}, data_.y, data_.out); }

void CombineExpertsStep::execute(const Run& run, std::int64_t begin, std::int64_t end, int) const {
  const Grouping g(run, data_.grouping);
  for (std::int64_t row = begin; row < end; ++row) {
    const float* weights = data_.weights ? run.floats(*data_.weights, row) : nullptr;
    const std::int32_t* slots = g.slot_of + row * data_.grouping.top_k;
    float* out = run.floats(data_.out, row);
    run.kernels->scale(run.floats(data_.y, slots[0]), weights == nullptr ? 1.0f : weights[0], out, data_.columns);
    for (std::int64_t j = 1; j < data_.grouping.top_k; ++j) {
      const float* y = run.floats(data_.y, slots[j]);
      const float weight = weights == nullptr ? 1.0f : weights[j];
      for (std::int64_t n = 0; n < data_.columns; ++n) out[n] += weight * y[n];
    }
  }
}

}  // namespace tenon::runtime
