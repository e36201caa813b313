#include "kernels/portable/rows.h"

#include "kernels/portable/rows_simd.h"

namespace tenon::kernels {

void rope_table(const std::int32_t* positions, std::int64_t tokens, const double* inv_freq, std::int64_t half,
                float scale, float* out) {
  const double factor = static_cast<double>(scale);
  for (std::int64_t t = 0; t < tokens; ++t, out += 2 * half) {
    for (std::int64_t i = 0; i < half; ++i) {
      const double angle = static_cast<double>(positions[t]) * inv_freq[i];
      out[i] = static_cast<float>(std::cos(angle) * factor);
      out[half + i] = static_cast<float>(std::sin(angle) * factor);
    }
  }
}

const RowPart portable_isa::kRows = RowKernels<portable_isa::Simd>::part();

}  // namespace tenon::kernels
