// An ISA's part of the probe. Private to kernels/.
#pragma once

#include <cstddef>
#include <cstdint>

namespace tenon::kernels {

/// Loops that do nothing but one kind of instruction; each returns something that depends on all of it.
struct ProbePart {
  /// Reads `bytes` (a multiple of 4096), from the start to the end.
  float (*read)(const std::byte* data, std::int64_t bytes);
  float (*bf16)(std::int64_t steps);
  float (*f32)(std::int64_t steps);
  float (*int8)(std::int64_t steps);  ///< null: none
  int bf16_operations;                ///< multiplications and additions of one step
  int f32_operations;
  int int8_operations;
};

namespace portable_isa {
extern const ProbePart kProbe;
}
namespace avx2_isa {
extern const ProbePart kProbe;
}
namespace avx512_isa {
extern const ProbePart kProbe;
}

}  // namespace tenon::kernels
