// For the tests of any folder: GoogleTest names tests over dtypes by their names.
#pragma once

#include <ostream>

#include "tensor/dtype.h"

namespace tenon::tensor {

inline void PrintTo(DType dtype, std::ostream* out) { *out << name(dtype); }

}  // namespace tenon::tensor
