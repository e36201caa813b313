#include "kernels/assemble.h"
#include "kernels/isa_tables.h"

namespace tenon::kernels::avx2_isa {

Kernels make_table() { return assemble<kFloatMatmul, kQuantMatmul>("avx2", kRows, kAttention); }

}  // namespace tenon::kernels::avx2_isa
