// The inner loops of attention over one page, for a tile of up to kTileRows query rows (one row: one token, one head).
// Written once over a Simd (rows_simd.h of each ISA's folder).
//
// A row's results do not depend on the tile: each (row, key) score is one chain of FMAs over the dims in order, each
// (row, value dim) one chain over the keys in order, and a row's chain covers the keys that the row sees, no others.
#pragma once

#include <cstdint>

#include "tensor/kv_layout.h"

namespace tenon::kernels {

inline constexpr int kTileRows = 6;

/// Page contents in bfloat16: keys in interleaved pairs of dims.
template <class S>
struct Bf16Kv {
  using Element = std::uint16_t;
  using F = typename S::F;
  static constexpr int kDimStep = 2;
  /// Dim d + j of the kWidth keys from `key`; k is the key block, d a multiple of kDimStep.
  template <int j>
  static F load_keys(const Element* k, int d, int key) {
    const Element* p = k + static_cast<std::int64_t>(d) * tensor::kPageTokens + 2 * key;
    return j == 0 ? S::load_bf16_even(p) : S::load_bf16_odd(p);
  }
  static F load(const Element* p) { return S::load_bf16(p); }
  static F load_n(const Element* p, int n) { return S::load_bf16_n(p, n); }
  static void store(Element* p, F x) { S::store_bf16(p, x); }
  static void store_n(Element* p, F x, int n) { S::store_bf16_n(p, x, n); }
  /// Where dim d of the key in `slot` lies.
  static std::int64_t key_at(int d, int slot) { return (d / 2 * tensor::kPageTokens + slot) * 2 + d % 2; }
};

template <class S>
struct F32Kv {
  using Element = float;
  using F = typename S::F;
  static constexpr int kDimStep = 1;
  template <int j>
  static F load_keys(const Element* k, int d, int key) {
    return S::load(k + static_cast<std::int64_t>(d) * tensor::kPageTokens + key);
  }
  static F load(const Element* p) { return S::load(p); }
  static F load_n(const Element* p, int n) { return S::load_n(p, n); }
  static void store(Element* p, F x) { S::store(p, x); }
  static void store_n(Element* p, F x, int n) { S::store_n(p, x, n); }
  static std::int64_t key_at(int d, int slot) { return d * tensor::kPageTokens + slot; }
};

template <class S, class Kv>
class AttentionTile {
 public:
  using F = typename S::F;
  using Element = typename Kv::Element;
  static constexpr int kWidth = S::kWidth;
  static constexpr int kPage = tensor::kPageTokens;
  /// Vectors of keys or of value dims that a tile holds beside its rows in registers.
  static constexpr int kColumns = S::kWidth == 16 ? 4 : 2;

  /// out[r][key] = q[r] · key for the page's keys below key_end (and up to a vector beyond); 1 <= rows <= kTileRows.
  static void scores(int rows, const float* const* q, const Element* k, int key_dim, int key_end, float* out) {
    switch (rows) {
      case 1:
        return scores_of<1>(q, k, key_dim, key_end, out);
      case 2:
        return scores_of<2>(q, k, key_dim, key_end, out);
      case 3:
        return scores_of<3>(q, k, key_dim, key_end, out);
      case 4:
        return scores_of<4>(q, k, key_dim, key_end, out);
      case 5:
        return scores_of<5>(q, k, key_dim, key_end, out);
      default:
        return scores_of<6>(q, k, key_dim, key_end, out);
    }
  }

  /// sums[r][d] += sum over keys in [begin, end) of p[r][key] * v[key][d]; rows of sums lie `stride` apart, a multiple
  /// of kWidth that is at least value_dim.
  static void add_values(int rows, const float* p, const Element* v, int value_dim, int begin, int end, float* sums,
                         std::int64_t stride) {
    if (begin >= end) return;
    switch (rows) {
      case 1:
        return values_of<1>(p, v, value_dim, begin, end, sums, stride);
      case 2:
        return values_of<2>(p, v, value_dim, begin, end, sums, stride);
      case 3:
        return values_of<3>(p, v, value_dim, begin, end, sums, stride);
      case 4:
        return values_of<4>(p, v, value_dim, begin, end, sums, stride);
      case 5:
        return values_of<5>(p, v, value_dim, begin, end, sums, stride);
      default:
        return values_of<6>(p, v, value_dim, begin, end, sums, stride);
    }
  }

 private:
  template <int rows>
  static void scores_of(const float* const* q, const Element* k, int key_dim, int key_end, float* out) {
    for (int key = 0; key < key_end; key += kColumns * kWidth) {
      F sums[rows][kColumns];
#pragma GCC unroll 8
      for (int r = 0; r < rows; ++r) {
#pragma GCC unroll 4
        for (int c = 0; c < kColumns; ++c) sums[r][c] = S::zero();
      }
      for (int d = 0; d < key_dim; d += Kv::kDimStep) {
        add_dim<rows, 0>(q, k, d, key, sums);
        if constexpr (Kv::kDimStep == 2) add_dim<rows, 1>(q, k, d, key, sums);
      }
#pragma GCC unroll 8
      for (int r = 0; r < rows; ++r) {
#pragma GCC unroll 4
        for (int c = 0; c < kColumns; ++c) S::store(out + r * kPage + key + c * kWidth, sums[r][c]);
      }
    }
  }

  template <int rows, int j>
  [[gnu::always_inline]] static void add_dim(const float* const* q, const Element* k, int d, int key,
                                             F (&sums)[rows][kColumns]) {
    F keys[kColumns];
#pragma GCC unroll 4
    for (int c = 0; c < kColumns; ++c) keys[c] = Kv::template load_keys<j>(k, d, key + c * kWidth);
#pragma GCC unroll 8
    for (int r = 0; r < rows; ++r) {
      const F x = S::set1(q[r][d + j]);
#pragma GCC unroll 4
      for (int c = 0; c < kColumns; ++c) sums[r][c] = S::fma(x, keys[c], sums[r][c]);
    }
  }

  template <int rows>
  static void values_of(const float* p, const Element* v, int value_dim, int begin, int end, float* sums,
                        std::int64_t stride) {
    int d = 0;
    for (; d + kColumns * kWidth <= value_dim; d += kColumns * kWidth) {
      columns<rows, kColumns>(p, v, value_dim, begin, end, d, sums, stride);
    }
    for (; d + kWidth <= value_dim; d += kWidth) columns<rows, 1>(p, v, value_dim, begin, end, d, sums, stride);
    if (d < value_dim) columns<rows, 0>(p, v, value_dim, begin, end, d, sums, stride);
  }

  /// `count` vectors of value dims from d; 0 stands for the last, partly filled one.
  template <int rows, int count>
  static void columns(const float* p, const Element* v, int value_dim, int begin, int end, int d, float* sums,
                      std::int64_t stride) {
    constexpr int kVectors = count == 0 ? 1 : count;
    F acc[rows][kVectors];
#pragma GCC unroll 8
    for (int r = 0; r < rows; ++r) {
#pragma GCC unroll 4
      for (int c = 0; c < kVectors; ++c) acc[r][c] = S::load(sums + r * stride + d + c * kWidth);
    }
    const Element* row = v + static_cast<std::int64_t>(begin) * value_dim + d;
    for (int key = begin; key < end; ++key, row += value_dim) {
      F values[kVectors];
      if constexpr (count == 0) {
        values[0] = Kv::load_n(row, value_dim - d);
      } else {
#pragma GCC unroll 4
        for (int c = 0; c < kVectors; ++c) values[c] = Kv::load(row + c * kWidth);
      }
#pragma GCC unroll 8
      for (int r = 0; r < rows; ++r) {
        const F x = S::set1(p[r * kPage + key]);
#pragma GCC unroll 4
        for (int c = 0; c < kVectors; ++c) acc[r][c] = S::fma(x, values[c], acc[r][c]);
      }
    }
#pragma GCC unroll 8
    for (int r = 0; r < rows; ++r) {
#pragma GCC unroll 4
      for (int c = 0; c < kVectors; ++c) S::store(sums + r * stride + d + c * kWidth, acc[r][c]);
    }
  }
};

}  // namespace tenon::kernels
