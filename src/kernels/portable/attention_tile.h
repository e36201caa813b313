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
  /// 2 * kWidth values, in the order in which they are cheapest to widen: even dims, then odd ones.
  static void load_values(const Element* p, F* out) {
    out[0] = S::load_bf16_even(p);
    out[1] = S::load_bf16_odd(p);
  }
  /// The first n, an even number.
  static void load_values_n(const Element* p, int n, F* out) {
    out[0] = S::load_bf16_even_n(p, n / 2);
    out[1] = S::load_bf16_odd_n(p, n / 2);
  }
  /// Puts what was summed in that order into the order of the dims.
  static void in_order(F a, F b, F* out) {
    out[0] = S::interleave_low(a, b);
    out[1] = S::interleave_high(a, b);
  }
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
  static void load_values(const Element* p, F* out) {
    out[0] = S::load(p);
    out[1] = S::load(p + S::kWidth);
  }
  static void load_values_n(const Element* p, int n, F* out) {
    out[0] = n < S::kWidth ? S::load_n(p, n) : S::load(p);
    out[1] = n > S::kWidth ? S::load_n(p + S::kWidth, n - S::kWidth) : S::zero();
  }
  static void in_order(F a, F b, F* out) {
    out[0] = a;
    out[1] = b;
  }
  static void store(Element* p, F x) { S::store(p, x); }
  static void store_n(Element* p, F x, int n) { S::store_n(p, x, n); }
  static std::int64_t key_at(int d, int slot) { return d * tensor::kPageTokens + slot; }
};

/// f.operator()<rows>(), for 1 <= rows <= kTileRows.
template <class Function>
void with_rows(int rows, Function f) {
  switch (rows) {
    case 1:
      return f.template operator()<1>();
    case 2:
      return f.template operator()<2>();
    case 3:
      return f.template operator()<3>();
    case 4:
      return f.template operator()<4>();
    case 5:
      return f.template operator()<5>();
    default:
      return f.template operator()<6>();
  }
}

/// Vectors of keys or of value dims that a tile holds beside its rows in registers.
template <class S>
inline constexpr int kTileColumns = S::kWidth == 16 ? 4 : 2;

/// Fetches `count` elements of the block that is wanted next (or null), from `offset`. Into the second-level cache:
/// there the machine can wait for far more lines at once (twice the speed, measured).
template <class Element>
[[gnu::always_inline]] inline void fetch_block(const Element* next, std::int64_t offset, int count) {
  constexpr int kCacheLine = 64, kSecondLevel = 2;
  if (next == nullptr) return;
  const auto* at = reinterpret_cast<const char*>(next + offset);
  for (int i = 0; i < count * static_cast<int>(sizeof(Element)); i += kCacheLine)
    __builtin_prefetch(at + i, 0, kSecondLevel);
}

/// A tile's sums from rows that lie `stride` apart, and back.
template <class S, int rows, int vectors>
[[gnu::always_inline]] inline void load_sums(const float* from, std::int64_t stride,
                                             typename S::F (&sums)[rows][vectors]) {
#pragma GCC unroll 8
  for (int r = 0; r < rows; ++r) {
#pragma GCC unroll 4
    for (int c = 0; c < vectors; ++c) sums[r][c] = S::load(from + r * stride + c * S::kWidth);
  }
}
template <class S, int rows, int vectors>
[[gnu::always_inline]] inline void store_sums(const typename S::F (&sums)[rows][vectors], float* to,
                                              std::int64_t stride) {
#pragma GCC unroll 8
  for (int r = 0; r < rows; ++r) {
#pragma GCC unroll 4
    for (int c = 0; c < vectors; ++c) S::store(to + r * stride + c * S::kWidth, sums[r][c]);
  }
}

/// By multiply-adds in float32, keys and values widened.
template <class S, class Kv>
class AttentionTile {
 public:
  using F = typename S::F;
  using Element = typename Kv::Element;
  using Query = float;   ///< an element of a query
  using Weight = float;  ///< a probability
  static constexpr int kWidth = S::kWidth;
  static constexpr int kPage = tensor::kPageTokens;
  static constexpr int kColumns = kTileColumns<S>;
  /// Sums over keys may be parted at multiples of this.
  static constexpr int kKeyStep = 1;

  /// Puts kWidth probabilities in the place of their scores, and returns what of them is multiplied.
  static F store_weights(float* scores, F p) {
    S::store(scores, p);
    return p;
  }

  /// out[r][key] = q[r] · key for the page's keys below key_end (and up to some beyond); 1 <= rows <= kTileRows. If
  /// next is not null, that key block is fetched into the cache meanwhile.
  static void scores(int rows, const Query* const* q, const Element* k, int key_dim, int key_end, const Element* next,
                     float* out) {
    with_rows(rows, [&]<int n> { scores_of<n>(q, k, key_dim, key_end, next, out); });
  }

  /// What add_values sums over: probabilities p[r][key] of the keys in [begin, end) times value rows.
  struct Values {
    const float* p;
    const Element* v;
    int value_dim;
    int begin;
    int end;
    const Element* next;  ///< as for scores: the value block that is wanted next, or null
  };

  /// sums[r][d] += sum over keys of p[r][key] * v[key][d]. Rows of sums lie `stride` apart, a multiple of 2 * kWidth
  /// that is at least value_dim; the dims are in the order of Kv::load_values.
  static void add_values(int rows, const Values& x, float* sums, std::int64_t stride) {
    if (x.begin >= x.end) return;
    with_rows(rows, [&]<int n> { values_of<n>(x, sums, stride); });
  }
  /// Puts two vectors of such sums into the order of the dims.
  static void in_order(F a, F b, F* out) { Kv::in_order(a, b, out); }

 private:
  template <int rows>
  static void scores_of(const float* const* q, const Element* k, int key_dim, int key_end, const Element* next,
                        float* out) {
    for (int key = 0; key < key_end; key += kColumns * kWidth) {
      // On a page that is not full, no more vectors of keys than are wanted.
      switch ((key_end - key + kWidth - 1) / kWidth) {
        case 1:
          keys_of<rows, 1>(q, k, key_dim, key, next, out);
          break;
        case 2:
          keys_of<rows, 2>(q, k, key_dim, key, next, out);
          break;
        case 3:
          keys_of < rows, kColumns<3 ? kColumns : 3>(q, k, key_dim, key, next, out);
          break;
        default:
          keys_of<rows, kColumns>(q, k, key_dim, key, next, out);
          break;
      }
    }
  }

  /// `count` vectors of keys from `key`.
  template <int rows, int count>
  static void keys_of(const float* const* q, const Element* k, int key_dim, int key, const Element* next, float* out) {
    F sums[rows][count];
#pragma GCC unroll 8
    for (int r = 0; r < rows; ++r) {
#pragma GCC unroll 4
      for (int c = 0; c < count; ++c) sums[r][c] = S::zero();
    }
    for (int d = 0; d < key_dim; d += Kv::kDimStep) {
      fetch_block(next, d * kPage + key * Kv::kDimStep, kColumns * kWidth * Kv::kDimStep);
      add_dim<rows, count, 0>(q, k, d, key, sums);
      if constexpr (Kv::kDimStep == 2) add_dim<rows, count, 1>(q, k, d, key, sums);
    }
    store_sums<S>(sums, out + key, kPage);
  }

  template <int rows, int count, int j>
  [[gnu::always_inline]] static void add_dim(const float* const* q, const Element* k, int d, int key,
                                             F (&sums)[rows][count]) {
    F keys[count];
#pragma GCC unroll 4
    for (int c = 0; c < count; ++c) keys[c] = Kv::template load_keys<j>(k, d, key + c * kWidth);
#pragma GCC unroll 8
    for (int r = 0; r < rows; ++r) {
      const F x = S::set1(q[r][d + j]);
#pragma GCC unroll 4
      for (int c = 0; c < count; ++c) sums[r][c] = S::fma(x, keys[c], sums[r][c]);
    }
  }

  template <int rows>
  static void values_of(const Values& x, float* sums, std::int64_t stride) {
    int d = 0;
    for (; d + kColumns * kWidth <= x.value_dim; d += kColumns * kWidth) columns<rows, kColumns>(x, d, sums, stride);
    if constexpr (kColumns > 2) {
      for (; d + 2 * kWidth <= x.value_dim; d += 2 * kWidth) columns<rows, 2>(x, d, sums, stride);
    }
    if (d < x.value_dim) columns<rows, 0>(x, d, sums, stride);
  }

  /// `count` vectors of value dims from d; 0 stands for the last two, partly filled.
  template <int rows, int count>
  static void columns(const Values& x, int d, float* sums, std::int64_t stride) {
    constexpr int kVectors = count == 0 ? 2 : count;
    F acc[rows][kVectors];
    load_sums<S>(sums + d, stride, acc);
    for (int key = x.begin; key < x.end; ++key) {
      const std::int64_t offset = static_cast<std::int64_t>(key) * x.value_dim + d;
      fetch_block(x.next, offset, kVectors * kWidth);
      F values[kVectors];
      if constexpr (count == 0) {
        Kv::load_values_n(x.v + offset, x.value_dim - d, values);
      } else {
#pragma GCC unroll 2
        for (int c = 0; c < kVectors; c += 2) Kv::load_values(x.v + offset + c * kWidth, values + c);
      }
#pragma GCC unroll 8
      for (int r = 0; r < rows; ++r) {
        const F p = S::set1(x.p[r * kPage + key]);
#pragma GCC unroll 4
        for (int c = 0; c < kVectors; ++c) acc[r][c] = S::fma(p, values[c], acc[r][c]);
      }
    }
    store_sums<S>(acc, sums + d, stride);
  }
};

}  // namespace tenon::kernels
