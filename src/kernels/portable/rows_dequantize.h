// dequantize_row, written once over a Simd (rows_simd.h of each ISA's folder). The same bits as tensor::to_float, times
// the scale.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "kernels/kernels.h"
#include "tensor/blocks.h"

namespace tenon::kernels {

template <class S>
class DequantizeRow {
 public:
  static void run(DType dtype, const std::byte* row, std::int64_t n, float scale, float* y) {
    switch (dtype) {
      case DType::kF32:
        return floats(row, n, scale, y, F32{});
      case DType::kBF16:
        return floats(row, n, scale, y, Bf16{});
      case DType::kF16:
        return floats(row, n, scale, y, F16{});
      case DType::kQ8_0:
        return q8_0(row, n, scale, y);
      case DType::kQ4_0:
        return q4_0(row, n, scale, y);
      case DType::kQ6_K:
        return q6_k(row, n, scale, y);
      default:
        break;
    }
    tensor::to_float(dtype, row, n, y);
    std::int64_t i = 0;
    for (; i + kWidth <= n; i += kWidth) S::store(y + i, S::mul(S::load(y + i), S::set1(scale)));
    for (; i < n; ++i) y[i] *= scale;
  }

 private:
  using F = typename S::F;
  static constexpr int kWidth = S::kWidth;

  struct F32 {
    using Element = float;
    static F load(const float* p) { return S::load(p); }
    static F load_n(const float* p, int n) { return S::load_n(p, n); }
  };
  struct Bf16 {
    using Element = std::uint16_t;
    static F load(const Element* p) { return S::load_bf16(p); }
    static F load_n(const Element* p, int n) { return S::load_bf16_n(p, n); }
  };
  struct F16 {
    using Element = std::uint16_t;
    static F load(const Element* p) { return S::load_f16(p); }
    static F load_n(const Element* p, int n) { return S::load_f16_n(p, n); }
  };

  template <class Type>
  static void floats(const std::byte* row, std::int64_t n, float scale, float* y, Type) {
    // A row of a mapped file may be misaligned; the loads are unaligned ones.
    const auto* x = reinterpret_cast<const typename Type::Element*>(row);
    const F factor = S::set1(scale);
    std::int64_t i = 0;
    for (; i + kWidth <= n; i += kWidth) S::store(y + i, S::mul(Type::load(x + i), factor));
    if (const int rest = static_cast<int>(n - i); rest > 0) {
      S::store_n(y + i, S::mul(Type::load_n(x + i, rest), factor), rest);
    }
  }

  /// y = q * d * scale for `count` quants (a multiple of 16).
  static void quants(const std::int8_t* q, int count, float d, float scale, float* y) {
    const F ds = S::set1(d);
    const F factor = S::set1(scale);
    for (int i = 0; i < count; i += kWidth) S::store(y + i, S::mul(S::mul(S::load_i8(q + i), ds), factor));
  }

  // The quants are read where they lie: vectors loaded from a block that was just copied wait for its stores.
  template <class Block>
  static float scale_of(const std::byte* block) {
    tensor::F16Bits d;
    std::memcpy(&d, block + offsetof(Block, d), sizeof d);
    return tensor::from_f16(d);
  }

  static void q8_0(const std::byte* row, std::int64_t n, float scale, float* y) {
    using Block = tensor::BlockQ8_0;
    for (std::int64_t i = 0; i < n; i += tensor::kBlockElements, row += sizeof(Block)) {
      const auto* q = reinterpret_cast<const std::int8_t*>(row + offsetof(Block, qs));
      quants(q, tensor::kBlockElements, scale_of<Block>(row), scale, y + i);
    }
  }

  static void q4_0(const std::byte* row, std::int64_t n, float scale, float* y) {
    using Block = tensor::BlockQ4_0;
    for (std::int64_t i = 0; i < n; i += tensor::kBlockElements, row += sizeof(Block)) {
      const auto* qs = reinterpret_cast<const std::uint8_t*>(row + offsetof(Block, qs));
      std::int8_t low[16];
      std::int8_t high[16];
      for (int j = 0; j < 16; ++j) low[j] = static_cast<std::int8_t>((qs[j] & 15) - 8);
      for (int j = 0; j < 16; ++j) high[j] = static_cast<std::int8_t>((qs[j] >> 4) - 8);
      const float d = scale_of<Block>(row);
      quants(low, 16, d, scale, y + i);
      quants(high, 16, d, scale, y + i + 16);
    }
  }

  static void q6_k(const std::byte* row, std::int64_t n, float scale, float* y) {
    for (std::int64_t i = 0; i < n; i += tensor::kSuperBlockElements, row += sizeof(tensor::BlockQ6_K)) {
      tensor::BlockQ6_K block;
      std::memcpy(&block, row, sizeof block);
      std::int8_t q[256];
      for (int half = 0; half < 2; ++half) {
        const std::uint8_t* ql = block.ql + 64 * half;
        const std::uint8_t* qh = block.qh + 32 * half;
        std::int8_t* to = q + 128 * half;
        for (int j = 0; j < 32; ++j) {
          to[j] = static_cast<std::int8_t>(((ql[j] & 15) | ((qh[j] & 3) << 4)) - 32);
          to[j + 32] = static_cast<std::int8_t>(((ql[j + 32] & 15) | ((qh[j] & 12) << 2)) - 32);
          to[j + 64] = static_cast<std::int8_t>(((ql[j] >> 4) | (qh[j] & 48)) - 32);
          to[j + 96] = static_cast<std::int8_t>(((ql[j + 32] >> 4) | ((qh[j] & 192) >> 2)) - 32);
        }
      }
      const float d = tensor::from_f16(block.d);
      for (int g = 0; g < 16; ++g) {
        quants(q + 16 * g, 16, d * static_cast<float>(block.scales[g]), scale, y + i + 16 * g);
      }
    }
  }
};

}  // namespace tenon::kernels
