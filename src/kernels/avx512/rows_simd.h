// 16 floats: what portable/rows.h and portable/attention.h are written in.
#pragma once

#include <immintrin.h>

#include <cstdint>

#include "kernels/avx512/vector_math.h"

namespace tenon::kernels::avx512_isa {

/// Every operation works lane by lane, so an element's result is the same in whatever lane or tail it lies.
struct Simd {
  using F = __m512;
  static constexpr int kWidth = 16;
  static constexpr bool kDots = true;  ///< products of bfloat16 pairs, as portable/attention_dot_tile.h wants them

  static F zero() { return _mm512_setzero_ps(); }
  static F set1(float x) { return _mm512_set1_ps(x); }
  static F load(const float* p) { return _mm512_loadu_ps(p); }
  static void store(float* p, F x) { _mm512_storeu_ps(p, x); }
  /// The first n lanes (0 < n < kWidth), zeros beyond; memory beyond is not touched.
  static F load_n(const float* p, int n) { return _mm512_maskz_loadu_ps(first(n), p); }
  static void store_n(float* p, F x, int n) { _mm512_mask_storeu_ps(p, first(n), x); }

  static F add(F a, F b) { return _mm512_add_ps(a, b); }
  static F sub(F a, F b) { return _mm512_sub_ps(a, b); }
  static F mul(F a, F b) { return _mm512_mul_ps(a, b); }
  static F div(F a, F b) { return _mm512_div_ps(a, b); }
  /// a * b + c, and a * b - c.
  static F fma(F a, F b, F c) { return _mm512_fmadd_ps(a, b, c); }
  static F fms(F a, F b, F c) { return _mm512_fmsub_ps(a, b, c); }
  static float fma1(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
  /// The larger; b where either is NaN.
  static F max(F a, F b) { return _mm512_max_ps(a, b); }
  static F min(F a, F b) { return _mm512_min_ps(a, b); }

  static F exp(F x) { return avx512_isa::exp(x); }
  static F tanh(F x) { return avx512_isa::tanh(x); }
  static F sigmoid(F x) { return avx512_isa::sigmoid(x); }
  static F silu(F x) { return avx512_isa::silu(x); }
  static F gelu_tanh(F x) { return avx512_isa::gelu_tanh(x); }
  static F gelu_erf(F x) { return avx512_isa::gelu_erf(x); }

  /// Halves are added until one lane is left.
  static float sum(F x) { return _mm512_reduce_add_ps(x); }
  static float maximum(F x) { return _mm512_reduce_max_ps(x); }

  /// x in lanes [begin, end), fill elsewhere.
  static F keep(F x, int begin, int end, F fill) {
    const std::uint32_t lanes = below(end) & ~below(begin);
    return _mm512_mask_blend_ps(static_cast<__mmask16>(lanes), fill, x);
  }

  static F load_bf16(const std::uint16_t* p) {
    return widen_bf16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
  }
  static F load_bf16_n(const std::uint16_t* p, int n) { return widen_bf16(_mm256_maskz_loadu_epi16(first(n), p)); }
  static F load_f16(const std::uint16_t* p) {
    return _mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
  }
  static F load_f16_n(const std::uint16_t* p, int n) { return _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(first(n), p)); }
  static F load_i8(const std::int8_t* p) {
    return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))));
  }
  /// Of kWidth pairs of bfloat16: the first and the second of each.
  static F load_bf16_even(const std::uint16_t* p) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_loadu_si512(p), 16));
  }
  static F load_bf16_odd(const std::uint16_t* p) {
    return _mm512_castsi512_ps(_mm512_and_si512(_mm512_loadu_si512(p), upper_half()));
  }
  /// The same of the first n pairs (0 < n <= kWidth), zeros beyond; memory beyond is not touched.
  static F load_bf16_even_n(const std::uint16_t* p, int n) {
    return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_maskz_loadu_epi32(first(n), p), 16));
  }
  static F load_bf16_odd_n(const std::uint16_t* p, int n) {
    return _mm512_castsi512_ps(_mm512_and_si512(_mm512_maskz_loadu_epi32(first(n), p), upper_half()));
  }
  /// even[0], odd[0], even[1], odd[1], …: the first kWidth of these, and the last.
  static F interleave_low(F even, F odd) {
    const __m512i places = _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
    return _mm512_permutex2var_ps(even, places, odd);
  }
  static F interleave_high(F even, F odd) {
    const __m512i places = _mm512_setr_epi32(8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
    return _mm512_permutex2var_ps(even, places, odd);
  }
  /// Rounds to nearest even, as tensor::to_bf16 (vcvtneps2bf16 would flush denormals).
  static void store_bf16(std::uint16_t* p, F x) {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm512_cvtepi32_epi16(round_bf16(x)));
  }
  static void store_bf16_n(std::uint16_t* p, F x, int n) {
    _mm256_mask_storeu_epi16(p, first(n), _mm512_cvtepi32_epi16(round_bf16(x)));
  }

  /// kWidth pairs of bfloat16.
  using Pairs = __m512i;
  static Pairs no_pairs() { return _mm512_setzero_si512(); }
  static Pairs set1_pair(std::uint32_t pair) { return _mm512_set1_epi32(static_cast<int>(pair)); }
  static Pairs load_pairs(const std::uint16_t* p) { return _mm512_loadu_si512(p); }
  /// The first n pairs (all if n > kWidth), zeros beyond; memory beyond is not touched.
  static Pairs load_pairs_n(const std::uint16_t* p, int n) {
    return _mm512_maskz_loadu_epi32(static_cast<__mmask16>(below(n)), p);
  }
  /// sum + a's first * b's first + a's second * b's second, pair by pair. Denormals count as zero.
  static F dot(F sum, Pairs a, Pairs b) {
    return _mm512_dpbf16_ps(sum, reinterpret_cast<__m512bh>(a), reinterpret_cast<__m512bh>(b));
  }
  /// Pairs of an element of a and the same of b: of every first four of eight elements, and of every last four.
  static Pairs zip_low(Pairs a, Pairs b) { return _mm512_unpacklo_epi16(a, b); }
  static Pairs zip_high(Pairs a, Pairs b) { return _mm512_unpackhi_epi16(a, b); }
  /// Four lanes of a, four of b, the next four of a, …: the first kWidth of these, and the last.
  static F quads_low(F a, F b) {
    const __m512i places = _mm512_setr_epi32(0, 1, 2, 3, 16, 17, 18, 19, 4, 5, 6, 7, 20, 21, 22, 23);
    return _mm512_permutex2var_ps(a, places, b);
  }
  static F quads_high(F a, F b) {
    const __m512i places = _mm512_setr_epi32(8, 9, 10, 11, 24, 25, 26, 27, 12, 13, 14, 15, 28, 29, 30, 31);
    return _mm512_permutex2var_ps(a, places, b);
  }

  /// A sum of floats in float64, lane by lane.
  struct DoubleSum {
    __m512d low = _mm512_setzero_pd();
    __m512d high = _mm512_setzero_pd();

    void add(F x) {
      low = _mm512_add_pd(low, _mm512_cvtps_pd(_mm512_castps512_ps256(x)));
      high = _mm512_add_pd(high, _mm512_cvtps_pd(_mm512_extractf32x8_ps(x, 1)));
    }
    double sum() const { return _mm512_reduce_add_pd(_mm512_add_pd(low, high)); }
  };

  /// The largest value of each lane and the place where it stood first.
  struct MaxPlace {
    F best = _mm512_set1_ps(-__builtin_inff());
    __m512i place = _mm512_setzero_si512();

    void update(F x, std::int32_t begin) {
      const __m512i index = _mm512_add_epi32(_mm512_set1_epi32(begin),
                                             _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15));
      const __mmask16 larger = _mm512_cmp_ps_mask(x, best, _CMP_GT_OQ);
      best = _mm512_mask_mov_ps(best, larger, x);
      place = _mm512_mask_mov_epi32(place, larger, index);
    }
    void get(float* values, std::int32_t* places) const {
      _mm512_storeu_ps(values, best);
      _mm512_storeu_si512(places, place);
    }
  };

 private:
  static __m512i upper_half() { return _mm512_set1_epi32(static_cast<int>(0xffff0000u)); }
  static std::uint32_t below(int n) { return n <= 0 ? 0u : n >= kWidth ? 0xffffu : (1u << n) - 1u; }
  static __mmask16 first(int n) { return static_cast<__mmask16>((1u << n) - 1u); }
  static F widen_bf16(__m256i x) { return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(x), 16)); }
  static __m512i round_bf16(F x) {
    const __m512i bits = _mm512_castps_si512(x);
    const __m512i odd = _mm512_and_si512(_mm512_srli_epi32(bits, 16), _mm512_set1_epi32(1));
    const __m512i rounded = _mm512_add_epi32(_mm512_add_epi32(bits, _mm512_set1_epi32(0x7fff)), odd);
    const __m512i quiet = _mm512_or_si512(bits, _mm512_set1_epi32(0x00400000));
    const __mmask16 nan = _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q);
    return _mm512_srli_epi32(_mm512_mask_mov_epi32(rounded, nan, quiet), 16);
  }
};

}  // namespace tenon::kernels::avx512_isa
