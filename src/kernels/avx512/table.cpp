#include "kernels/assemble.h"
#include "kernels/isa_tables.h"

namespace tenon::kernels::avx512_isa {

Kernels make_table() { return assemble<kFloatMatmul, kQuantMatmul>("avx512", kRows, kAttention); }

}  // namespace tenon::kernels::avx512_isa
