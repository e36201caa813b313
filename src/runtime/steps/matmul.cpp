#include "runtime/steps/matmul.h"

#include <algorithm>
#include <array>

#include "runtime/unpacked.h"

namespace tenon::runtime {

void multiply(const Run& run, const MatrixPlace& weight, std::int64_t part, kernels::MatmulTask task,
              std::int64_t begin, std::int64_t end, int thread) {
  task.weight = {.dtype = weight.dtype,
                 .n = weight.n,
                 .k = weight.k,
                 .panel_bytes = weight.panel_bytes,
                 .data = run.weights + weight.offset + part * weight.bytes(),
                 .coded = weight.coded};
  const Unpacked::Matrix* unpacked = run.unpacked == nullptr ? nullptr : run.unpacked->find(weight.offset);
  const std::int64_t unit = task.epilogue > kernels::Epilogue::kAdd ? 2 : 1, first = part * weight.panels();
  std::int64_t packed = end;
  if (unpacked != nullptr) packed = begin + (std::clamp(unpacked->packed - first, begin, end) - begin) / unit * unit;
  if (packed > begin) run.kernels->matmul(task, begin, packed);
  if (packed >= end) return;
  // The rest is packed here, and not coded: each panel, or pair of them, is a small matrix of its own.
  std::byte* const scratch = run.unpacked_scratch(thread);
  const std::int64_t panel_bytes = run.kernels->panel_bytes(weight.dtype, weight.k);
  for (std::int64_t panel = packed; panel < end; panel += unit) {
    for (std::int64_t i = 0; i < unit; ++i) {
      const auto [source, of_source] = unpacked->from.source_of(first + panel + i);
      unpacked->from.pack(source, of_source, scratch + i * panel_bytes);
    }
    kernels::MatmulTask small = task;
    small.weight.n = std::min(unit * kernels::kPanel, weight.n - panel * kernels::kPanel);
    small.weight.panel_bytes = panel_bytes;
    small.weight.data = scratch;
    small.weight.coded = false;
    small.y += panel / unit * kernels::kPanel;
    if (small.bias != nullptr) small.bias += panel * kernels::kPanel;
    run.kernels->matmul(small, 0, unit);
  }
}

std::string MatmulStep::describe() const {
  static constexpr std::array kEpilogues = {"", " add", " silu_mul", " gelu_tanh_mul"};
  const MatrixPlace& w = data_.weight;
  return w.form()
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
  const std::int64_t panels = gated() ? 2 : 1;
  const kernels::MatmulTask task{.layout = run.layout(data_.x),
                                 .activations = run.packed(data_.x, thread),
                                 .y = run.floats(data_.out),
                                 .ldy = data_.out.stride,
                                 .bias = data_.bias ? run.vector(*data_.bias) : nullptr,
                                 .epilogue = data_.epilogue};
  multiply(run, data_.weight, 0, task, begin * panels, end * panels, thread);
}

}  // namespace tenon::runtime
