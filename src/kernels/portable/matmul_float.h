// The float matmul's loops, written once over an Isa (matmul_float.cpp of each ISA's folder):
//
//   for a chunk of rows, for a group of K blocks (together the activations that the L2 cache holds),
//     for each panel, or pair of panels of a gated epilogue:
//       for each K block, for each row block: one tile, its sums added to y (or to a scratch, if gated)
//
// The order of every output's sum, whatever the chunks, groups and tiles are: each K block of kKBlock is summed from 0
// in K order; then y = b0, or y = y + b0 with kAdd; y = y + b1; y = y + b2 …; at last y = y + bias.
//
// An Isa has
//   Simd                         the ISA's vector of floats (rows_simd.h)
//   kMaxRows                     rows of the highest tile
//   kCachedBytes                 bytes of activations to keep in L2
//   kActivationBytes<T>          of one element of the activations for weights of dtype T: 4, or 2 for bfloat16 pairs
//   tile<T, kRows, kCoded>(const FloatTile&)
//                                sums[kRows][kPanel] = one K block, or the next part of one
//   kMaxCodedBlocks              up to so many row blocks read coded panels, and more what one has decoded; 0: the ISA
//                                has no coded panels
//   widen_fp8(group, out)        out[kFp8Elements][kPanel] = the weights of an Fp8Group
// and what matmul_float_pack.h and matmul_float_coded.h ask for.
#pragma once

#include <algorithm>

#include "base/check.h"
#include "kernels/parts.h"
#include "kernels/portable/matmul_float_coded.h"

namespace tenon::kernels {

/// One K block of a panel times one block of rows.
struct FloatTile {
  /// [k][kPanel] floats, [k / 2][kPanel][2] bfloat16, Fp8Group[k / 128] or CodedChunk[k / 64]
  const std::byte* weights;
  const std::byte* activations;  ///< [k][row_block] floats or [k / 2][row_block][2] bfloat16
  std::int64_t k;                ///< even for bfloat16 weights, whole groups of FP8
  std::int64_t row_block;
  float* sums;         ///< [rows][kPanel]
  bool resume;         ///< `sums` has those of the K before, of the same block; float32 only
  const char* next;    ///< weights that are needed after this tile's
  int prefetch_lines;  ///< cache lines of them to prefetch for every 8 lines of `weights`
};

template <class Isa>
class FloatMatmul {
 public:
  static std::int64_t panel_bytes(DType weight_dtype, std::int64_t k) {
    return padded_k(weight_dtype, k) * bytes_of_k(weight_dtype);
  }

  static ActivationLayout activation_layout(DType weight_dtype, std::int64_t m, std::int64_t k) {
    ActivationLayout layout{.weight_dtype = weight_dtype, .m = m, .k = k};
    // The fewest blocks, all of about the same height.
    const std::int64_t blocks = std::max<std::int64_t>(1, (m + Isa::kMaxRows - 1) / Isa::kMaxRows);
    layout.row_block = static_cast<int>(std::max<std::int64_t>(1, (m + blocks - 1) / blocks));
    const std::int64_t bytes = padded_k(weight_dtype, k) * layout.row_block * activation_bytes(weight_dtype);
    layout.block_bytes = (bytes + 63) / 64 * 64;
    return layout;
  }

  static void pack_activations(const ActivationLayout& layout, std::int64_t block, const float* rows, std::int64_t ldx,
                               std::byte* out) {
    std::byte* packed = out + block * layout.block_bytes;
    if (layout.weight_dtype == DType::kBF16) {
      pack_rows<Isa, DType::kBF16>(layout, rows_of(layout, block), rows, ldx, packed);
    } else {
      pack_rows<Isa, DType::kF32>(layout, rows_of(layout, block), rows, ldx, packed);
    }
  }

  static void matmul(const MatmulTask& task, std::int64_t panel_begin, std::int64_t panel_end) {
    switch (task.weight.dtype) {
      case DType::kF32:
        return run<DType::kF32>(task, panel_begin, panel_end);
      case DType::kBF16:
        return run<DType::kBF16>(task, panel_begin, panel_end);
      default:
        return run<DType::kFP8>(task, panel_begin, panel_end);
    }
  }

  static constexpr MatmulPart part() {
    return {panel_bytes, FloatPack<Isa>::pack_panel,  activation_layout,         pack_activations,
            matmul,      CodedPack<Isa>::panel_bytes, CodedPack<Isa>::pack_panel};
  }

 private:
  using Simd = typename Isa::Simd;
  using F = typename Simd::F;

  /// Rows of a chunk whose sums are kept, those of gated epilogues and of FP8: 26 KiB of stack for a panel's.
  static constexpr std::int64_t kKeptRows = 208;

  /// What all tiles of one call share.
  struct Plan {
    bool gated;
    std::int64_t chunk_blocks;  ///< row blocks in a chunk
    std::int64_t group_k;       ///< K of a group: all, or kKBlock
    int prefetch_lines;
  };

  static std::int64_t padded_k(DType weight_dtype, std::int64_t k) {
    return weight_dtype == DType::kBF16 ? (k + 1) / 2 * 2 : k;
  }
  /// Bytes of one K of a panel.
  static constexpr std::int64_t bytes_of_k(DType weight_dtype) {
    switch (weight_dtype) {
      case DType::kF32:
        return kPanel * 4;
      case DType::kBF16:
        return kPanel * 2;
      default:
        return sizeof(Fp8Group) / tensor::kFp8Elements;
    }
  }
  static int activation_bytes(DType weight_dtype) {
    return weight_dtype == DType::kBF16 ? Isa::template kActivationBytes<DType::kBF16>
                                        : Isa::template kActivationBytes<DType::kF32>;
  }
  static int rows_of(const ActivationLayout& layout, std::int64_t block) {
    return static_cast<int>(std::min<std::int64_t>(layout.row_block, layout.m - block * layout.row_block));
  }

  static Plan plan(const MatmulTask& task, std::int64_t k) {
    const ActivationLayout& layout = task.layout;
    Plan p{};
    p.gated = task.epilogue == Epilogue::kSiluMul || task.epilogue == Epilogue::kGeluTanhMul;
    const std::int64_t row_bytes = k * activation_bytes(task.weight.dtype);
    const bool whole = p.gated || k <= kKBlock || layout.m * row_bytes <= Isa::kCachedBytes;
    p.group_k = whole ? std::max<std::int64_t>(k, 1) : kKBlock;
    const std::int64_t group_row_bytes =
        std::max<std::int64_t>(1, row_bytes / std::max<std::int64_t>(k, 1) * p.group_k);
    std::int64_t rows = Isa::kCachedBytes / group_row_bytes;
    if (p.gated || task.weight.dtype == DType::kFP8) rows = std::min(rows, kKeptRows);
    const std::int64_t most = std::max<std::int64_t>(1, rows / layout.row_block);
    // Chunks of about the same height: each reads all weights anew.
    const std::int64_t chunks = (layout.blocks() + most - 1) / most;
    p.chunk_blocks = (layout.blocks() + chunks - 1) / chunks;
    // One row, or of bfloat16 a few, read so fast that the hardware reads ahead best; more rows wait for memory. Many
    // hardly do, but where they decode a panel too.
    const std::int64_t fewest = task.weight.dtype == DType::kBF16 ? 7 : 2;
    const bool prefetch = layout.m >= fewest && (layout.m <= 128 || task.weight.coded);
    p.prefetch_lines = prefetch ? static_cast<int>((8 + p.chunk_blocks - 1) / p.chunk_blocks) : 0;
    return p;
  }

  template <DType T>
  static void run(const MatmulTask& task, std::int64_t panel_begin, std::int64_t panel_end) {
    if (task.layout.m <= 0) return;
    const std::int64_t k = padded_k(T, task.weight.k);
    const Plan p = plan(task, k);
    TENON_CHECK(!p.gated || (panel_begin % 2 == 0 && panel_end % 2 == 0), "a gated epilogue takes pairs of panels");
    alignas(64) float gate[kKeptRows * kPanel];
    alignas(64) float up[kKeptRows * kPanel];
    for (std::int64_t begin = 0; begin < task.layout.blocks(); begin += p.chunk_blocks) {
      const std::int64_t end = std::min(begin + p.chunk_blocks, task.layout.blocks());
      for (std::int64_t k0 = 0; k0 == 0 || k0 < k; k0 += p.group_k) {
        const std::int64_t k1 = std::min(k0 + p.group_k, k);
        for (std::int64_t panel = panel_begin; panel < panel_end; ++panel) {
          if (!p.gated) {
            add_panel<T>(task, p, panel, begin, end, k0, k1);
            continue;
          }
          sum_panel<T>(task, p, panel, begin, end, k1, gate);
          sum_panel<T>(task, p, ++panel, begin, end, k1, up);
          store_gated(task, panel - 1, begin, end, gate, up);
        }
      }
    }
  }

  template <DType T, bool kCoded = false, int kRows = Isa::kMaxRows>
  static void tile(int rows, const FloatTile& t) {
    if constexpr (kRows > 1) {
      if (rows < kRows) return tile<T, kCoded, kRows - 1>(rows, t);
    }
    Isa::template tile<T, kRows, kCoded>(t);
  }

  /// Calls done(row block, first k, sums) for each tile of a panel: row blocks [begin, end), K blocks of [k0, k1).
  template <DType T, class Done>
  static void each_tile(const MatmulTask& task, const Plan& p, std::int64_t panel, std::int64_t begin, std::int64_t end,
                        std::int64_t k0, std::int64_t k1, Done done) {
    constexpr bool kMayBeCoded = T == DType::kBF16 && Isa::kMaxCodedBlocks > 0;
    alignas(64) float sums[Isa::kMaxRows * kPanel];
    alignas(64) std::byte plain[kMayBeCoded ? kKBlock * kPanel * 2 : 1];
    const ActivationLayout& layout = task.layout;
    const std::byte* weights = task.weight.data + panel * task.weight.panel_bytes;
    const bool coded = kMayBeCoded && task.weight.coded;
    const auto weights_from = [&](std::int64_t k) {
      return weights + (coded ? k / kCodedK * static_cast<std::int64_t>(sizeof(CodedChunk)) : k * bytes_of_k(T));
    };
    for (std::int64_t k = k0; k == k0 || k < k1; k += kKBlock) {
      FloatTile t{};
      t.weights = weights_from(k);
      t.k = std::min<std::int64_t>(kKBlock, k1 - k);
      t.row_block = layout.row_block;
      t.sums = sums;
      t.prefetch_lines = p.prefetch_lines;
      // In the last K block of a group the next panel's first follows: with one group that is the next address.
      const std::int64_t block_bytes = t.k * bytes_of_k(T);
      const bool last = k + kKBlock >= k1;
      t.next = reinterpret_cast<const char*>(last ? weights_from(k0) + task.weight.panel_bytes : weights_from(k + t.k));
      if constexpr (kMayBeCoded) {
        if (coded && end - begin <= Isa::kMaxCodedBlocks) {
          each_coded_tile<T>(task, p, t, k, begin, end, done);
          continue;
        }
        if (coded) {
          decode_chunks<Isa>(reinterpret_cast<const CodedChunk*>(t.weights), t.k / kCodedK, plain);
          t.weights = plain;
        }
      }
      if constexpr (T == DType::kFP8) {
        if (end - begin > 1) {
          each_widened_tile(task, t, k, begin, end, done);
          continue;
        }
      }
      for (std::int64_t r = begin; r < end; ++r) {
        t.activations =
            task.activations + r * layout.block_bytes + k * layout.row_block * Isa::template kActivationBytes<T>;
        tile<T>(rows_of(layout, r), t);
        t.next += block_bytes / 8 * p.prefetch_lines;
        done(r, k, static_cast<const float*>(sums));
      }
    }
  }

  /// The tiles of a coded K block, each of which reads the codes.
  template <DType T, class Done>
  static void each_coded_tile(const MatmulTask& task, const Plan& p, FloatTile t, std::int64_t k, std::int64_t begin,
                              std::int64_t end, Done done) {
    const ActivationLayout& layout = task.layout;
    const int lines = static_cast<int>((3 + p.chunk_blocks - 1) / p.chunk_blocks);
    const std::int64_t bytes = t.k / kCodedK * static_cast<std::int64_t>(sizeof(CodedChunk));
    const bool prefetch = t.prefetch_lines > 0;
    for (std::int64_t r = begin; r < end; ++r) {
      t.prefetch_lines = prefetch && (r - begin) * lines < 3 ? lines : 0;
      t.activations =
          task.activations + r * layout.block_bytes + k * layout.row_block * Isa::template kActivationBytes<T>;
      tile<T, true>(rows_of(layout, r), t);
      t.next += bytes / 3 * lines;
      done(r, k, static_cast<const float*>(t.sums));
    }
  }

  /// The tiles of an FP8 K block, which is `whole` but for its rows: each group is widened once for all row blocks.
  template <class Done>
  static void each_widened_tile(const MatmulTask& task, const FloatTile& whole, std::int64_t k, std::int64_t begin,
                                std::int64_t end, Done done) {
    alignas(64) float widened[tensor::kFp8Elements * kPanel];
    alignas(64) float sums[kKeptRows * kPanel];
    const ActivationLayout& layout = task.layout;
    FloatTile t = whole;
    t.weights = reinterpret_cast<const std::byte*>(widened);
    t.k = tensor::kFp8Elements;
    for (std::int64_t at = 0; at < whole.k; at += t.k, t.resume = true) {
      Isa::widen_fp8(*reinterpret_cast<const Fp8Group*>(whole.weights + at * bytes_of_k(DType::kFP8)), widened);
      for (std::int64_t r = begin; r < end; ++r) {
        t.activations = task.activations + r * layout.block_bytes +
                        (k + at) * layout.row_block * Isa::template kActivationBytes<DType::kF32>;
        t.sums = sums + (r - begin) * layout.row_block * kPanel;
        // A tile of 128 K of floats prefetches 32 lines: two have a group's, but for its last two.
        t.prefetch_lines = whole.prefetch_lines > 0 && r < begin + 2 ? 1 : 0;
        t.next = whole.next + at * bytes_of_k(DType::kFP8) + (r - begin) * 2048;
        tile<DType::kF32>(rows_of(layout, r), t);
      }
    }
    for (std::int64_t r = begin; r < end; ++r) {
      done(r, k, static_cast<const float*>(sums + (r - begin) * layout.row_block * kPanel));
    }
  }

  /// y (+)= a panel's K blocks, and the bias with the last.
  template <DType T>
  static void add_panel(const MatmulTask& task, const Plan& p, std::int64_t panel, std::int64_t begin, std::int64_t end,
                        std::int64_t k0, std::int64_t k1) {
    const std::int64_t column = panel * kPanel;
    const int width = static_cast<int>(std::min<std::int64_t>(kPanel, task.weight.n - column));
    const float* bias = task.bias == nullptr ? nullptr : task.bias + column;
    each_tile<T>(task, p, panel, begin, end, k0, k1, [&](std::int64_t r, std::int64_t k, const float* sums) {
      const bool add = k > 0 || task.epilogue == Epilogue::kAdd;
      const float* last_bias = k + kKBlock >= task.weight.k ? bias : nullptr;
      float* y = task.y + r * task.layout.row_block * task.ldy + column;
      const int rows = rows_of(task.layout, r);
      for (int i = 0; i < rows; ++i) move_row(sums + i * kPanel, y + i * task.ldy, width, add, last_bias);
    });
  }

  /// sums[rows of the row blocks][kPanel] = all K blocks of a panel.
  template <DType T>
  static void sum_panel(const MatmulTask& task, const Plan& p, std::int64_t panel, std::int64_t begin, std::int64_t end,
                        std::int64_t k1, float* all_sums) {
    each_tile<T>(task, p, panel, begin, end, 0, k1, [&](std::int64_t r, std::int64_t k, const float* sums) {
      float* out = all_sums + (r - begin) * task.layout.row_block * kPanel;
      const int rows = rows_of(task.layout, r);
      for (int i = 0; i < rows; ++i) move_row(sums + i * kPanel, out + i * kPanel, kPanel, k > 0, nullptr);
    });
  }

  static F load(const float* p, int n) { return n >= Simd::kWidth ? Simd::load(p) : Simd::load_n(p, n); }
  static void store(float* p, F x, int n) { n >= Simd::kWidth ? Simd::store(p, x) : Simd::store_n(p, x, n); }

  static void move_row(const float* sums, float* y, int width, bool add, const float* bias) {
    for (int c = 0; c < width; c += Simd::kWidth) {
      F x = Simd::load(sums + c);
      if (add) x = Simd::add(load(y + c, width - c), x);
      if (bias != nullptr) x = Simd::add(x, load(bias + c, width - c));
      store(y + c, x, width - c);
    }
  }

  /// Panels `panel` and panel + 1: y = act(gate) * up.
  static void store_gated(const MatmulTask& task, std::int64_t panel, std::int64_t begin, std::int64_t end,
                          const float* gate, const float* up) {
    const std::int64_t column = panel / 2 * kPanel;
    const int width = static_cast<int>(std::min<std::int64_t>(kPanel, task.weight.n / 2 - column));
    const float* bias = task.bias == nullptr ? nullptr : task.bias + panel * kPanel;
    const std::int64_t first = begin * task.layout.row_block;
    const std::int64_t rows = std::min(end * task.layout.row_block, task.layout.m) - first;
    for (std::int64_t i = 0; i < rows; ++i) {
      float* y = task.y + (first + i) * task.ldy + column;
      for (int c = 0; c < width; c += Simd::kWidth) {
        F g = Simd::load(gate + i * kPanel + c);
        F u = Simd::load(up + i * kPanel + c);
        if (bias != nullptr) {
          g = Simd::add(g, load(bias + c, width - c));
          u = Simd::add(u, load(bias + kPanel + c, width - c));
        }
        g = task.epilogue == Epilogue::kSiluMul ? Simd::silu(g) : Simd::gelu_tanh(g);
        store(y + c, Simd::mul(g, u), width - c);
      }
    }
  }
};

}  // namespace tenon::kernels
