#include "kernels/portable/attention.h"

#include "kernels/avx512/rows_simd.h"

namespace tenon::kernels {

const AttentionPart avx512_isa::kAttention = AttentionKernels<avx512_isa::Simd>::part();

}  // namespace tenon::kernels
