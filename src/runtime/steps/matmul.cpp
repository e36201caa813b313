#include "runtime/steps/matmul.h"

#include <array>

namespace tenon::runtime {

std::string MatmulStep::describe() const {
  static constexpr std::array kEpilogues = {"", " add", " silu_mul", " gelu_tanh_mul"};
  const MatrixPlace& w = data_.weight;
  return std::string(tensor::name(w.dtype))
      .append(data_.bias ? " bias" : "")
      .append(kEpilogues[static_cast<std::size_t>(data_.epilogue)])
      .append(" ")
      .append(arrow({w.n, w.k}, {.offset = data_.x.offset, .stride = w.k}, data_.out));
}

std::int64_t MatmulStep::items(const Run& run) const {
  if (run.rows(data_.x.rows) == 0) return 0;
  return gated() ? data_.weight.panels() / 2 : data_.weight.panels();
}

void MatmulStep::execute(const Run& run, std::int64_t begin, std::int64_t end, int thread) const {
  const MatrixPlace& w = data_.weight;
  const std::int64_t panels = gated() ? 2 : 1;
  const kernels::MatmulTask task{
      .weight = {.dtype = w.dtype, .n = w.n, .k = w.k, .panel_bytes = w.panel_bytes, .data = run.weights + w.offset},
      .layout = run.layout(data_.x),
      .activations = run.packed(data_.x, thread),
      .y = run.floats(data_.out),
      .ldy = data_.out.stride,
      .bias = data_.bias ? run.vector(*data_.bias) : nullptr,
      .epilogue = data_.epilogue};
  run.kernels->matmul(task, begin * panels, end * panels);
}

}  // namespace tenon::runtime
