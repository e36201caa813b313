// The inner loops of attention over one page of bfloat16, for CPUs that add the products of two pairs of bfloat16 to a
// sum of float32 (vdpbf16ps): queries and probabilities are rounded to bfloat16, as the operands of every matmul are.
//
// A row's results do not depend on the tile: each (row, key) score is one chain over the pairs of dims in order, each
// (row, value dim) one chain over the pairs of keys in order. A pair is an even slot and the next; a key of it that the
// row does not see counts as a weight of zero and a value of zero, whatever lies there.
#pragma once

#include <cstdint>
#include <cstring>

#include "kernels/portable/attention_tile.h"

namespace tenon::kernels {

template <class S>
class AttentionDotTile {
 public:
  using F = typename S::F;
  using Pairs = typename S::Pairs;
  using Element = std::uint16_t;
  using Query = std::uint16_t;
  using Weight = std::uint16_t;
  static constexpr int kWidth = S::kWidth;
  static constexpr int kPage = tensor::kPageTokens;
  static constexpr int kColumns = kTileColumns<S>;
  static constexpr int kKeyStep = 2;

  /// Rounds n values of a query, an even number.
  static void round_query(const float* q, int n, Query* out) {
    int d = 0;
    for (; d + kWidth <= n; d += kWidth) S::store_bf16(out + d, S::load(q + d));
    if (d < n) S::store_bf16_n(out + d, S::load_n(q + d, n - d), n - d);
  }

  static F store_weights(Weight* weights, F p) {
    S::store_bf16(weights, p);
    return S::load_bf16(weights);
  }

  static void scores(int rows, const Query* const* q, const Element* k, int key_dim, int key_end, const Element* next,
                     float* out) {
    with_rows(rows, [&]<int n> {
      for (int key = 0; key < key_end; key += kColumns * kWidth) keys_of<n>(q, k, key_dim, key, next, out);
    });
  }

  struct Values {
    const Weight* p;  ///< rows lie 2 * kPage apart: in the place of the scores
    const Element* v;
    int value_dim;
    int begin;
    int end;
    const Element* next;
  };

  static void add_values(int rows, const Values& x, float* sums, std::int64_t stride) {
    if (x.begin >= x.end) return;
    with_rows(rows, [&]<int n> { values_of<n>(x, sums, stride); });
  }

  static void in_order(F a, F b, F* out) {
    out[0] = S::quads_low(a, b);
    out[1] = S::quads_high(a, b);
  }

 private:
  static Pairs pair_at(const std::uint16_t* p) {
    std::uint32_t pair;
    std::memcpy(&pair, p, sizeof pair);
    return S::set1_pair(pair);
  }

  template <int rows>
  static void keys_of(const Query* const* q, const Element* k, int key_dim, int key, const Element* next, float* out) {
    F sums[rows][kColumns];
#pragma GCC unroll 8
    for (int r = 0; r < rows; ++r) {
#pragma GCC unroll 4
      for (int c = 0; c < kColumns; ++c) sums[r][c] = S::zero();
    }
    for (int d = 0; d < key_dim; d += 2) {
      const std::int64_t offset = std::int64_t{d} * kPage + 2 * key;
      fetch_block(next, offset, 2 * kColumns * kWidth);
      Pairs keys[kColumns];
#pragma GCC unroll 4
      for (int c = 0; c < kColumns; ++c) keys[c] = S::load_pairs(k + offset + 2 * c * kWidth);
#pragma GCC unroll 8
      for (int r = 0; r < rows; ++r) {
        const Pairs x = pair_at(q[r] + d);
#pragma GCC unroll 4
        for (int c = 0; c < kColumns; ++c) sums[r][c] = S::dot(sums[r][c], x, keys[c]);
      }
    }
    store_sums<S>(sums, out + key, kPage);
  }

  template <int rows>
  static void values_of(const Values& x, float* sums, std::int64_t stride) {
    int d = 0;
    for (; d + kColumns * kWidth <= x.value_dim; d += kColumns * kWidth) columns<rows, kColumns>(x, d, sums, stride);
    for (; d + 2 * kWidth <= x.value_dim; d += 2 * kWidth) columns<rows, 2>(x, d, sums, stride);
    if (d < x.value_dim) columns<rows, 0>(x, d, sums, stride);
  }

  /// `count` vectors of value dims from d; 0 stands for the last two, partly filled.
  template <int rows, int count>
  static void columns(const Values& x, int d, float* sums, std::int64_t stride) {
    constexpr int kVectors = count == 0 ? 2 : count;
    F acc[rows][kVectors];
    load_sums<S>(sums + d, stride, acc);
    int key = x.begin;
    if (key % 2 != 0) {
      add_pair<rows, count, false, true>(x, key - 1, d, acc);
      ++key;
    }
    for (; key + 2 <= x.end; key += 2) add_pair<rows, count, true, true>(x, key, d, acc);
    if (key < x.end) add_pair<rows, count, true, false>(x, key, d, acc);
    store_sums<S>(acc, sums + d, stride);
  }

  /// The keys in slots `key`, an even one, and key + 1, as far as they are seen.
  template <int rows, int count, bool first, bool second, int vectors>
  [[gnu::always_inline]] static void add_pair(const Values& x, int key, int d, F (&acc)[rows][vectors]) {
    const std::int64_t offset = std::int64_t{key} * x.value_dim + d;
    fetch_block(x.next, offset, vectors * kWidth);
    fetch_block(x.next, offset + x.value_dim, vectors * kWidth);
    Pairs values[vectors];
#pragma GCC unroll 2
    for (int c = 0; c < vectors; c += 2) {
      const Element* at = x.v + offset + c * kWidth;
      const Pairs even = first ? load<count>(at, x.value_dim - d) : S::no_pairs();
      const Pairs odd = second ? load<count>(at + x.value_dim, x.value_dim - d) : S::no_pairs();
      values[c] = S::zip_low(even, odd);
      values[c + 1] = S::zip_high(even, odd);
    }
#pragma GCC unroll 8
    for (int r = 0; r < rows; ++r) {
      const Pairs p = pair_at(x.p + r * 2 * kPage + key);
#pragma GCC unroll 4
      for (int c = 0; c < vectors; ++c) acc[r][c] = S::dot(acc[r][c], p, values[c]);
    }
  }

  /// 2 * kWidth values, or what is left of them.
  template <int count>
  static Pairs load(const Element* at, int left) {
    return count == 0 ? S::load_pairs_n(at, left / 2) : S::load_pairs(at);
  }
};

}  // namespace tenon::kernels
