#include "kernels/portable/attention.h"

#include "kernels/avx2/rows_simd.h"

namespace tenon::kernels {

const AttentionPart avx2_isa::kAttention = AttentionKernels<avx2_isa::Simd>::part();

}  // namespace tenon::kernels
