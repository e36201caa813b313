#include "runtime/steps/pack.h"

#include <algorithm>

namespace tenon::runtime {

std::string PackStep::describe() const {
  const Place out{.offset = data_.out.offset, .stride = data_.out.k};
  return std::string(tensor::name(data_.out.weight_dtype)).append(" ") + arrow({data_.out.k}, data_.x, out);
}

std::int64_t PackStep::scratch_bytes(const kernels::Kernels& k, const Limits& limits, const tensor::KvLayout&) const {
  if (!data_.norm) return 0;
  const int most = data_.out.rows == Rows::kTokens ? limits.max_total_tokens : limits.max_sampled_rows;
  int row_block = 1;
  for (int m = 1; m <= most; ++m) {
    row_block = std::max(row_block, k.activation_layout(data_.out.weight_dtype, m, data_.out.k).row_block);
  }
  return row_block * data_.out.k * static_cast<std::int64_t>(sizeof(float));
}

void PackStep::execute(const Run& run, std::int64_t begin, std::int64_t end, int thread) const {
  const kernels::ActivationLayout layout = run.layout(data_.out);
  std::byte* out = run.packed(data_.out, thread);
  auto* scratch = reinterpret_cast<float*>(run.scratch(thread));
  for (std::int64_t row = begin; row < end; row += layout.row_block) {
    const float* x = run.floats(data_.x, row);
    std::int64_t stride = data_.x.stride;
    if (data_.norm) {
      const std::int64_t rows = std::min<std::int64_t>(layout.row_block, end - row);
      run.kernels->rms_norm(x, stride, run.vector(data_.norm->weight), data_.norm->weight_offset, data_.norm->eps,
                            scratch, layout.k, rows, layout.k);
      x = scratch, stride = layout.k;
    }
    run.kernels->pack_activations(layout, row / layout.row_block, x, stride, out);
  }
}

}  // namespace tenon::runtime
