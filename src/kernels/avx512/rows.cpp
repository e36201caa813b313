#include "kernels/portable/rows.h"

#include "kernels/avx512/rows_simd.h"

namespace tenon::kernels {

const RowPart avx512_isa::kRows = RowKernels<avx512_isa::Simd>::part();

}  // namespace tenon::kernels
