// What this machine can do, measured: what `tenon bench` and `tenon generate` quote their figures beside.
#pragma once

#include "base/thread_pool.h"

namespace tenon::kernels {

/// Of all threads of the pool together, with the instructions of kernels()'s ISA; 0: not applicable, or not measured
/// for want of memory.
struct MachineLimits {
  double read_gb_per_s = 0;     ///< bytes read from memory, in units of 1e9 per second
  double bf16_gflop_per_s = 0;  ///< what multiplies bfloat16 weights: vdpbf16ps, or float32 FMA where there is none
  double f32_gflop_per_s = 0;   ///< float32 multiply and add
  double int8_gop_per_s = 0;    ///< what multiplies quantized weights, counting multiplications and additions
};

/// Takes about half a second and, while it runs, 512 MiB of memory.
MachineLimits measure_limits(ThreadPool& pool);

}  // namespace tenon::kernels
