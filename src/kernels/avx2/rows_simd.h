// 8 floats: what portable/rows.h and portable/attention.h are written in.
#pragma once

#include <immintrin.h>

#include <cstdint>
#include <cstring>

#include "kernels/avx2/vector_math.h"

namespace tenon::kernels::avx2_isa {

/// Every operation works lane by lane, so an element's result is the same in whatever lane or tail it lies.
struct Simd {
  using F = __m256;
  static constexpr int kWidth = 8;
  static constexpr bool kDots = false;  ///< products of bfloat16 pairs, as portable/attention_dot_tile.h wants them

  static F zero() { return _mm256_setzero_ps(); }
  static F set1(float x) { return _mm256_set1_ps(x); }
  static F load(const float* p) { return _mm256_loadu_ps(p); }
  static void store(float* p, F x) { _mm256_storeu_ps(p, x); }
  /// The first n lanes (0 < n < kWidth), zeros beyond; memory beyond is not touched.
  static F load_n(const float* p, int n) { return _mm256_maskload_ps(p, first(n)); }
  static void store_n(float* p, F x, int n) { _mm256_maskstore_ps(p, first(n), x); }

  static F add(F a, F b) { return _mm256_add_ps(a, b); }
  static F sub(F a, F b) { return _mm256_sub_ps(a, b); }
  static F mul(F a, F b) { return _mm256_mul_ps(a, b); }
  static F div(F a, F b) { return _mm256_div_ps(a, b); }
  /// a * b + c, and a * b - c.
  static F fma(F a, F b, F c) { return _mm256_fmadd_ps(a, b, c); }
  static F fms(F a, F b, F c) { return _mm256_fmsub_ps(a, b, c); }
  static float fma1(float a, float b, float c) { return __builtin_fmaf(a, b, c); }
  /// The larger; b where either is NaN.
  static F max(F a, F b) { return _mm256_max_ps(a, b); }
  static F min(F a, F b) { return _mm256_min_ps(a, b); }

  static F exp(F x) { return avx2_isa::exp(x); }
  static F tanh(F x) { return avx2_isa::tanh(x); }
  static F sigmoid(F x) { return avx2_isa::sigmoid(x); }
  static F silu(F x) { return avx2_isa::silu(x); }
  static F gelu_tanh(F x) { return avx2_isa::gelu_tanh(x); }
  static F gelu_erf(F x) { return avx2_isa::gelu_erf(x); }

  /// Halves are added until one lane is left.
  static float sum(F x) {
    __m128 s = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
  }
  static float maximum(F x) {
    __m128 s = _mm_max_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
    s = _mm_max_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_max_ss(s, _mm_movehdup_ps(s)));
  }

  /// x in lanes [begin, end), fill elsewhere.
  static F keep(F x, int begin, int end, F fill) {
    const __m256i lane = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
    const __m256i inside = _mm256_andnot_si256(_mm256_cmpgt_epi32(_mm256_set1_epi32(begin), lane),
                                               _mm256_cmpgt_epi32(_mm256_set1_epi32(end), lane));
    return _mm256_blendv_ps(fill, x, _mm256_castsi256_ps(inside));
  }

  static F load_bf16(const std::uint16_t* p) { return widen_bf16(load_16(p)); }
  static F load_bf16_n(const std::uint16_t* p, int n) { return widen_bf16(load_16_n(p, n)); }
  static F load_f16(const std::uint16_t* p) { return _mm256_cvtph_ps(load_16(p)); }
  static F load_f16_n(const std::uint16_t* p, int n) { return _mm256_cvtph_ps(load_16_n(p, n)); }
  static F load_i8(const std::int8_t* p) {
    return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(p))));
  }
  /// Of kWidth pairs of bfloat16: the first and the second of each.
  static F load_bf16_even(const std::uint16_t* p) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)), 16));
  }
  static F load_bf16_odd(const std::uint16_t* p) {
    const __m256i pairs = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
    return _mm256_castsi256_ps(_mm256_and_si256(pairs, upper_half()));
  }
  /// The same of the first n pairs (0 < n <= kWidth), zeros beyond; memory beyond is not touched.
  static F load_bf16_even_n(const std::uint16_t* p, int n) {
    return _mm256_castsi256_ps(_mm256_slli_epi32(load_pairs_n(p, n), 16));
  }
  static F load_bf16_odd_n(const std::uint16_t* p, int n) {
    return _mm256_castsi256_ps(_mm256_and_si256(load_pairs_n(p, n), upper_half()));
  }
  /// even[0], odd[0], even[1], odd[1], …: the first kWidth of these, and the last.
  static F interleave_low(F even, F odd) {
    return _mm256_permute2f128_ps(_mm256_unpacklo_ps(even, odd), _mm256_unpackhi_ps(even, odd), 0x20);
  }
  static F interleave_high(F even, F odd) {
    return _mm256_permute2f128_ps(_mm256_unpacklo_ps(even, odd), _mm256_unpackhi_ps(even, odd), 0x31);
  }
  /// Rounds to nearest even, as tensor::to_bf16.
  static void store_bf16(std::uint16_t* p, F x) { _mm_storeu_si128(reinterpret_cast<__m128i*>(p), round_bf16(x)); }
  static void store_bf16_n(std::uint16_t* p, F x, int n) {
    std::uint16_t all[kWidth];
    store_bf16(all, x);
    std::memcpy(p, all, static_cast<std::size_t>(n) * sizeof *p);
  }

  /// A sum of floats in float64, lane by lane.
  struct DoubleSum {
    __m256d low = _mm256_setzero_pd();
    __m256d high = _mm256_setzero_pd();

    void add(F x) {
      low = _mm256_add_pd(low, _mm256_cvtps_pd(_mm256_castps256_ps128(x)));
      high = _mm256_add_pd(high, _mm256_cvtps_pd(_mm256_extractf128_ps(x, 1)));
    }
    double sum() const {
      double lanes[4];
      _mm256_storeu_pd(lanes, _mm256_add_pd(low, high));
      return (lanes[0] + lanes[2]) + (lanes[1] + lanes[3]);
    }
  };

  /// The largest value of each lane and the place where it stood first.
  struct MaxPlace {
    F best = _mm256_set1_ps(-__builtin_inff());
    __m256i place = _mm256_setzero_si256();

    void update(F x, std::int32_t begin) {
      const __m256i index = _mm256_add_epi32(_mm256_set1_epi32(begin), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
      const __m256 larger = _mm256_cmp_ps(x, best, _CMP_GT_OQ);
      best = _mm256_blendv_ps(best, x, larger);
      place = _mm256_blendv_epi8(place, index, _mm256_castps_si256(larger));
    }
    void get(float* values, std::int32_t* places) const {
      _mm256_storeu_ps(values, best);
      _mm256_storeu_si256(reinterpret_cast<__m256i*>(places), place);
    }
  };

 private:
  static __m256i upper_half() { return _mm256_set1_epi32(static_cast<int>(0xffff0000u)); }
  static __m256i load_pairs_n(const std::uint16_t* p, int n) {
    return _mm256_maskload_epi32(reinterpret_cast<const int*>(p), first(n));
  }
  static __m256i first(int n) {
    return _mm256_cmpgt_epi32(_mm256_set1_epi32(n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
  }
  static __m128i load_16(const std::uint16_t* p) { return _mm_loadu_si128(reinterpret_cast<const __m128i*>(p)); }
  static __m128i load_16_n(const std::uint16_t* p, int n) {
    std::uint16_t all[kWidth] = {};
    std::memcpy(all, p, static_cast<std::size_t>(n) * sizeof *p);
    return load_16(all);
  }
  static F widen_bf16(__m128i x) { return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(x), 16)); }
  static __m128i round_bf16(F x) {
    const __m256i bits = _mm256_castps_si256(x);
    const __m256i odd = _mm256_and_si256(_mm256_srli_epi32(bits, 16), _mm256_set1_epi32(1));
    const __m256i rounded = _mm256_add_epi32(_mm256_add_epi32(bits, _mm256_set1_epi32(0x7fff)), odd);
    const __m256i quiet = _mm256_or_si256(bits, _mm256_set1_epi32(0x00400000));
    const __m256i nan = _mm256_castps_si256(_mm256_cmp_ps(x, x, _CMP_UNORD_Q));
    const __m256i high = _mm256_srli_epi32(_mm256_blendv_epi8(rounded, quiet, nan), 16);
    return _mm_packus_epi32(_mm256_castsi256_si128(high), _mm256_extracti128_si256(high, 1));
  }
};

}  // namespace tenon::kernels::avx2_isa
