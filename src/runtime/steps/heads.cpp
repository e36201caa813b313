#include "runtime/steps/heads.h"

#include <algorithm>

namespace tenon::runtime {

std::string PackHeadsStep::describe() const {
  return std::string(tensor::name(out_.weight_dtype)).append(" ") +
         arrow({out_.heads, out_.k}, x_, {.offset = out_.offset, .stride = out_.k});
}

void PackHeadsStep::execute(const Run& run, std::int64_t begin, std::int64_t end, int) const {
  const kernels::ActivationLayout layout = out_.layout(run);
  for (std::int64_t item = begin; item < end; ++item) {
    const std::int64_t head = item / layout.blocks(), block = item % layout.blocks();
    run.kernels->pack_activations(layout, block, run.floats(x_, block * layout.row_block) + head * out_.k, x_.stride,
                                  run.arena + out_.offset + head * HeadOperandPlace::head_bytes(layout));
  }
}

std::string HeadMatmulStep::describe() const {
  const MatrixPlace& w = data_.weight;
  return w.form().append(" ").append(
      arrow({data_.x.heads, w.n, w.k}, {.offset = data_.x.offset, .stride = w.k}, data_.out));
}

void HeadMatmulStep::execute(const Run& run, std::int64_t begin, std::int64_t end, int thread) const {
  const MatrixPlace& w = data_.weight;
  const kernels::ActivationLayout layout = data_.x.layout(run);
  for (std::int64_t item = begin; item < end;) {
    const std::int64_t head = item / w.panels(), panel = item % w.panels();
    const std::int64_t count = std::min(w.panels() - panel, end - item);
    const kernels::MatmulTask task{
        .layout = layout,
        .activations = run.arena + data_.x.offset + head * HeadOperandPlace::head_bytes(layout),
        .y = run.floats(data_.out) + head * w.n,
        .ldy = data_.out.stride};
    multiply(run, w, head, task, panel, panel + count, thread);
    item += count;
  }
}

}  // namespace tenon::runtime
