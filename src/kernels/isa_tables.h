// What dispatch.cpp picks from: each ISA's folder makes its own table (table.cpp). Private to kernels/.
#pragma once

#include "kernels/kernels.h"

namespace tenon::kernels {

namespace portable_isa {
Kernels make_table();
}
namespace avx2_isa {
Kernels make_table();
}
namespace avx512_isa {
Kernels make_table();
}

}  // namespace tenon::kernels
