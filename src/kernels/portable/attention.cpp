#include "kernels/portable/attention.h"

#include "kernels/portable/rows_simd.h"

namespace tenon::kernels {

const AttentionPart portable_isa::kAttention = AttentionKernels<portable_isa::Simd>::part();

}  // namespace tenon::kernels
