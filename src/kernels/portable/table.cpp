#include "kernels/assemble.h"
#include "kernels/isa_tables.h"

namespace tenon::kernels::portable_isa {

Kernels make_table() { return assemble<kFloatMatmul, kQuantMatmul>("portable", kRows, kAttention); }

}  // namespace tenon::kernels::portable_isa
