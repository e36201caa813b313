#include "kernels/portable/rows.h"

#include "kernels/avx2/rows_simd.h"

namespace tenon::kernels {

const RowPart avx2_isa::kRows = RowKernels<avx2_isa::Simd>::part();

}  // namespace tenon::kernels
