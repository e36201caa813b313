// The parts of the quantized matmul that every ISA shares: sizes and the packing of weights.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/kernels.h"

namespace tenon::kernels::quant {

/// Bytes of one panel. k is a multiple of the dtype's block.
std::int64_t panel_bytes(DType weight_dtype, std::int64_t k);

/// Packs kPanel rows of GGUF blocks; null rows give zeros. src_dtype is weight_dtype.
void pack_panel(DType weight_dtype, std::int64_t k, DType src_dtype, const std::byte* const* rows, std::byte* out);

/// m rows in equal blocks of at most tile_rows.
ActivationLayout activation_layout(DType weight_dtype, std::int64_t m, std::int64_t k, int tile_rows);

}  // namespace tenon::kernels::quant
