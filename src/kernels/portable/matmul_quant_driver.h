// The quantized matmul's loops, written once over an Isa (matmul_quant.cpp of each ISA's folder):
//
//   for a chunk of rows that the L2 cache holds, for each panel:
//     for a chunk of K: unpack it into L1 if enough row blocks will use it, then one tile for each row block
//     add the bias, apply the epilogue, store
//
// A tile carries its float32 sums through a buffer from one chunk of K to the next, so that every output is one chain
// of operations in K order, whatever the chunks and tiles are.
//
// An Isa has
//   kTileRows                rows of the highest tile
//   kUnpackBlocks            from this many row blocks on, unpacking into L1 is worth it; 1: always, also for 8 bits
//   kNextBlock               one row of 8-bit weights is faster where it asks for the block after this one
//   tile<Format, kRows>(t)   t.sums[kRows][kPanel] = or += the products of t.blocks blocks of K
//   unpack<Format>(weights, blocks, out)   the same blocks as Format::Unpacked
//   quantize(x, out)         32 floats to an ActivationBlock
//   Vector, kLanes, load(p, n), store(p, v, n), add, mul, silu, gelu_tanh   for the epilogue; n <= kLanes elements
#pragma once

#include <algorithm>

#include "kernels/portable/matmul_quant_format.h"
#include "kernels/portable/matmul_quant_pack.h"

namespace tenon::kernels::quant {

/// What to multiply a block by whose largest magnitude is `largest` (finite). 0 where 127 / largest could overflow.
[[gnu::always_inline]] inline float inverse_scale(float largest) { return largest > 1e-36f ? 127.0f / largest : 0.0f; }

[[gnu::always_inline]] inline void set_sums(float largest, int first_half, int second_half, ActivationBlock* out) {
  out->scale = largest / 127.0f;
  out->sum = static_cast<float>(first_half + second_half);
  out->negated_sum = -(first_half + second_half);
  out->negated_first = -first_half;
}

/// Memory that will be wanted soon: `bytes` from `at` on during the first block of K, the next `bytes` during the
/// second, and so on.
struct Prefetch {
  const std::byte* at;
  int bytes;
};

struct Tile {
  const std::byte* weights;
  std::int64_t blocks;       ///< of K
  const ActivationBlock* a;  ///< the rows of one K block are consecutive
  std::int64_t stride;       ///< from one K block to the next
  bool carry;                ///< += instead of =
  float* sums;
  Prefetch next;
};

/// -sum of the activations of a group of a format.
template <class F>
[[gnu::always_inline]] inline int negated_sum(const ActivationBlock& a, int group) {
  if (F::kGroups == 1) return a.negated_sum;
  return group == 0 ? a.negated_first : a.negated_sum - a.negated_first;
}

template <class Isa>
class Matmul {
 public:
  static ActivationLayout layout(DType weight_dtype, std::int64_t m, std::int64_t k) {
    return activation_layout(weight_dtype, m, k, Isa::kTileRows);
  }

  static void pack_activations(const ActivationLayout& layout, std::int64_t block, const float* rows, std::int64_t ldx,
                               std::byte* out) {
    auto* blocks = reinterpret_cast<ActivationBlock*>(out + block * layout.block_bytes);
    const int valid = rows_of(layout, block);
    for (int i = 0; i < valid; ++i)
      for (std::int64_t b = 0; b < layout.k / kBlock; ++b)
        Isa::quantize(rows + i * ldx + b * kBlock, blocks + b * layout.row_block + i);
  }

  static void run(const MatmulTask& task, std::int64_t panel_begin, std::int64_t panel_end) {
    switch (task.weight.dtype) {
      case DType::kQ8_0:
        return run<FormatQ8_0>(task, panel_begin, panel_end);
      case DType::kQ4_0:
        return run<FormatQ4_0>(task, panel_begin, panel_end);
      case DType::kQ4_1:
        return run<FormatQ4_1>(task, panel_begin, panel_end);
      case DType::kQ5_0:
        return run<FormatQ5_0>(task, panel_begin, panel_end);
      case DType::kQ5_1:
        return run<FormatQ5_1>(task, panel_begin, panel_end);
      case DType::kQ4_K:
        return run<FormatQ4_K>(task, panel_begin, panel_end);
      case DType::kQ5_K:
        return run<FormatQ5_K>(task, panel_begin, panel_end);
      case DType::kQ6_K:
        return run<FormatQ6_K>(task, panel_begin, panel_end);
      case DType::kMXFP4:
        return run<FormatMXFP4>(task, panel_begin, panel_end);
      default:
        return;  // panel_bytes has refused it
    }
  }

 private:
  using Vector = typename Isa::Vector;

  static constexpr int kChunkRows = 192;   ///< rows of activations that stay in L2 beside the weights of a panel
  static constexpr int kChunkBlocks = 32;  ///< blocks of K that stay in L1: 256 values, a super-block

  static int rows_of(const ActivationLayout& layout, std::int64_t block) {
    return static_cast<int>(std::min<std::int64_t>(layout.row_block, layout.m - block * layout.row_block));
  }

  template <class F>
  static void run(const MatmulTask& task, std::int64_t panel_begin, std::int64_t panel_end) {
    const bool gated = task.epilogue == Epilogue::kSiluMul || task.epilogue == Epilogue::kGeluTanhMul;
    const ActivationLayout& layout = task.layout;
    alignas(64) float sums[2][kChunkRows * kPanel];
    const std::int64_t chunk = std::max(1, kChunkRows / layout.row_block);
    for (std::int64_t begin = 0; begin < layout.blocks(); begin += chunk) {
      const std::int64_t end = std::min(begin + chunk, layout.blocks());
      const std::int64_t row = begin * layout.row_block;
      const std::int64_t rows = std::min(end * layout.row_block, layout.m) - row;
      for (std::int64_t panel = panel_begin; panel < panel_end; panel += gated ? 2 : 1) {
        accumulate<F>(task, panel, begin, end, sums[0]);
        if (gated) accumulate<F>(task, panel + 1, begin, end, sums[1]);
        finish(task, panel, row, rows, sums[0], sums[1]);
      }
    }
  }

  /// sums[rows of the row blocks [begin, end)][kPanel] = the panel's products.
  template <class F>
  static void accumulate(const MatmulTask& task, std::int64_t panel, std::int64_t begin, std::int64_t end,
                         float* sums) {
    const ActivationLayout& layout = task.layout;
    const std::byte* weights = task.weight.data + panel * task.weight.panel_bytes;
    const std::int64_t all = layout.k / kBlock;
    const std::int64_t row_blocks = end - begin;
    constexpr bool kAlways = Isa::kUnpackBlocks == 1;
    const bool unpack = kAlways || (F::kStoredBits < 8 && row_blocks >= Isa::kUnpackBlocks);
    // With one row block nothing is used twice.
    const std::int64_t step = unpack || row_blocks > 1 ? kChunkBlocks : std::max<std::int64_t>(all, 1);
    alignas(64) std::byte scratch[kChunkBlocks * F::Unpacked::kSuperBytes];
    if (all == 0) std::fill_n(sums, row_blocks * layout.row_block * kPanel, 0.0f);
    for (std::int64_t k = 0; k < all; k += step) {
      const std::int64_t blocks = std::min(step, all - k);
      const std::int64_t bytes = blocks / F::kSuper * F::kSuperBytes;
      const std::byte* from = weights + k / F::kSuper * F::kSuperBytes;
      if (unpack) Isa::template unpack<F>(from, blocks, scratch);
      // While it computes, each row block asks for a slice of the weights that come next, of this panel or another. One
      // row block alone reads so fast that the hardware's own prefetching does better, but for what kNextBlock says.
      const bool one_row = Isa::kNextBlock && F::kStoredBits == 8 && !unpack && layout.m == 1;
      const std::int64_t slice = (bytes / (row_blocks * blocks) + 63) / 64 * 64;
      for (std::int64_t r = begin; r < end; ++r) {
        const std::int64_t ahead = bytes + (r - begin) * slice * blocks;
        const bool idle = row_blocks == 1 || ahead >= 2 * bytes;
        const Tile t = {.weights = unpack ? scratch : from,
                        .blocks = blocks,
                        .a = reinterpret_cast<const ActivationBlock*>(task.activations + r * layout.block_bytes) +
                             k * layout.row_block,
                        .stride = layout.row_block,
                        .carry = k > 0,
                        .sums = sums + (r - begin) * layout.row_block * kPanel,
                        .next = one_row ? Prefetch{from + F::kBlockBytes, F::kBlockBytes}
                                        : Prefetch{from + ahead, idle ? 0 : static_cast<int>(slice)}};
        const int rows = rows_of(layout, r);
        if (unpack) {
          tile<typename F::Unpacked>(rows, t);
        } else if constexpr (!kAlways) {
          tile<F>(rows, t);
        }
      }
    }
  }

  template <class F, int kRows = Isa::kTileRows>
  static void tile(int rows, const Tile& t) {
    if constexpr (kRows > 1) {
      if (rows < kRows) return tile<F, kRows - 1>(rows, t);
    }
    Isa::template tile<F, kRows>(t);
  }

  /// Columns of y that panel (or pair of panels) `panel` gives, from the sums of `rows` rows from `row` on.
  static void finish(const MatmulTask& task, std::int64_t panel, std::int64_t row, std::int64_t rows, const float* sums,
                     const float* up) {
    const bool gated = task.epilogue == Epilogue::kSiluMul || task.epilogue == Epilogue::kGeluTanhMul;
    const std::int64_t column = (gated ? panel / 2 : panel) * kPanel;
    const std::int64_t width = std::min<std::int64_t>(kPanel, (gated ? task.weight.n / 2 : task.weight.n) - column);
    const float* bias = task.bias == nullptr ? nullptr : task.bias + panel * kPanel;
    for (std::int64_t i = 0; i < rows; ++i) {
      float* y = task.y + (row + i) * task.ldy + column;
      for (std::int64_t c = 0; c < width; c += Isa::kLanes) {
        const int n = static_cast<int>(std::min<std::int64_t>(Isa::kLanes, width - c));
        Vector value = Isa::load(sums + i * kPanel + c, n);
        if (bias != nullptr) value = Isa::add(value, Isa::load(bias + c, n));
        if (gated) {
          Vector other = Isa::load(up + i * kPanel + c, n);
          if (bias != nullptr) other = Isa::add(other, Isa::load(bias + kPanel + c, n));
          value = Isa::mul(task.epilogue == Epilogue::kSiluMul ? Isa::silu(value) : Isa::gelu_tanh(value), other);
        } else if (task.epilogue == Epilogue::kAdd) {
          value = Isa::add(Isa::load(y + c, n), value);
        }
        Isa::store(y + c, value, n);
      }
    }
  }
};

template <class Isa>
inline constexpr MatmulPart kPart = {panel_bytes, pack_panel, Matmul<Isa>::layout, Matmul<Isa>::pack_activations,
                                     Matmul<Isa>::run};

}  // namespace tenon::kernels::quant
