// Elementary functions of 8 floats for AVX2, within 2.5 ulp of the true value (vector_math_test.cpp measures it). NaN
// gives NaN, infinities and denormal arguments are handled; results below 3e-37 may come out as zero (exp's do not).
// Same polynomials, same order as avx512/vector_math.h.
#pragma once

#include <immintrin.h>

namespace tenon::kernels::avx2_isa {

/// e^x. 0 below -103.98, infinity above 88.73.
inline __m256 exp(__m256 x) {
  // With x as the second operand min and max let NaN through.
  x = _mm256_min_ps(_mm256_set1_ps(89.0f), _mm256_max_ps(_mm256_set1_ps(-105.0f), x));
  // x = n ln2 + r, |r| <= ln2 / 2; ln2 in two parts.
  const __m256 n =
      _mm256_round_ps(_mm256_mul_ps(x, _mm256_set1_ps(1.44269504f)), _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  __m256 r = _mm256_fnmadd_ps(n, _mm256_set1_ps(0x1.62e430p-1f), x);
  r = _mm256_fnmadd_ps(n, _mm256_set1_ps(-1.90465432e-9f), r);
  // e^r = 1 + r + r² p(r): minimax, relative error 2^-28.
  __m256 p = _mm256_set1_ps(0.001381387656f);
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(0.008369063525f));
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(0.0416684219f));
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(0.1666651776f));
  p = _mm256_fmadd_ps(p, r, _mm256_set1_ps(0.4999999325f));
  p = _mm256_add_ps(_mm256_fmadd_ps(_mm256_mul_ps(r, r), p, r), _mm256_set1_ps(1.0f));
  // 2^n as the product of two powers, each a normal number, so that denormal results are right.
  const __m256i exponent = _mm256_cvtps_epi32(n);
  const __m256i half = _mm256_srai_epi32(exponent, 1);
  const __m256i bias = _mm256_set1_epi32(127);
  const __m256i first = _mm256_slli_epi32(_mm256_add_epi32(half, bias), 23);
  const __m256i second = _mm256_slli_epi32(_mm256_add_epi32(_mm256_sub_epi32(exponent, half), bias), 23);
  const __m256 scaled = _mm256_mul_ps(_mm256_mul_ps(p, _mm256_castsi256_ps(first)), _mm256_castsi256_ps(second));
  // NaN has no exponent to take apart.
  return _mm256_blendv_ps(scaled, x, _mm256_cmp_ps(x, x, _CMP_UNORD_Q));
}

/// 1 / (1 + e^-x)
inline __m256 sigmoid(__m256 x) {
  const __m256 one = _mm256_set1_ps(1.0f);
  return _mm256_div_ps(one, _mm256_add_ps(one, exp(_mm256_sub_ps(_mm256_setzero_ps(), x))));
}

/// x / (1 + e^-x)
inline __m256 silu(__m256 x) {
  return _mm256_div_ps(x, _mm256_add_ps(_mm256_set1_ps(1.0f), exp(_mm256_sub_ps(_mm256_setzero_ps(), x))));
}

inline __m256 tanh(__m256 x) {
  const __m256 sign = _mm256_and_ps(x, _mm256_set1_ps(-0.0f));
  const __m256 a = _mm256_andnot_ps(_mm256_set1_ps(-0.0f), x);
  // |x| < 0.625: x + x³ q(x²), minimax.
  const __m256 s = _mm256_mul_ps(x, x);
  __m256 q = _mm256_set1_ps(-0.005717041905f);
  q = _mm256_fmadd_ps(q, s, _mm256_set1_ps(0.02065058427f));
  q = _mm256_fmadd_ps(q, s, _mm256_set1_ps(-0.05374349708f));
  q = _mm256_fmadd_ps(q, s, _mm256_set1_ps(0.1333149127f));
  q = _mm256_fmadd_ps(q, s, _mm256_set1_ps(-0.3333328392f));
  const __m256 small = _mm256_fmadd_ps(_mm256_mul_ps(s, q), x, x);
  // Else 1 - 2 / (e^2|x| + 1).
  const __m256 e = exp(_mm256_add_ps(a, a));
  const __m256 one = _mm256_set1_ps(1.0f);
  const __m256 large = _mm256_sub_ps(one, _mm256_div_ps(_mm256_set1_ps(2.0f), _mm256_add_ps(e, one)));
  const __m256 is_small = _mm256_cmp_ps(a, _mm256_set1_ps(0.625f), _CMP_LT_OQ);
  return _mm256_blendv_ps(_mm256_or_ps(large, sign), small, is_small);
}

inline __m256 erf(__m256 x) {
  const __m256 sign = _mm256_and_ps(x, _mm256_set1_ps(-0.0f));
  const __m256 a = _mm256_andnot_ps(_mm256_set1_ps(-0.0f), x);
  // |x| < 1: x p(x²), minimax.
  const __m256 s = _mm256_mul_ps(x, x);
  __m256 p = _mm256_set1_ps(7.853839756e-5f);
  p = _mm256_fmadd_ps(p, s, _mm256_set1_ps(-0.0008010186862f));
  p = _mm256_fmadd_ps(p, s, _mm256_set1_ps(0.005188326884f));
  p = _mm256_fmadd_ps(p, s, _mm256_set1_ps(-0.02685381149f));
  p = _mm256_fmadd_ps(p, s, _mm256_set1_ps(0.1128358514f));
  p = _mm256_fmadd_ps(p, s, _mm256_set1_ps(-0.3761262582f));
  p = _mm256_fmadd_ps(p, s, _mm256_set1_ps(1.128379166f));
  const __m256 small = _mm256_mul_ps(x, p);
  // Else 1 - e^-l(|x|), l = -log(erfc) on [1, 4], minimax; erf(4) rounds to 1.
  const __m256 t = _mm256_min_ps(_mm256_set1_ps(4.0f), a);
  __m256 l = _mm256_set1_ps(-0.0001863734398f);
  l = _mm256_fmadd_ps(l, t, _mm256_set1_ps(0.002947600885f));
  l = _mm256_fmadd_ps(l, t, _mm256_set1_ps(-0.02183783066f));
  l = _mm256_fmadd_ps(l, t, _mm256_set1_ps(0.1031062601f));
  l = _mm256_fmadd_ps(l, t, _mm256_set1_ps(0.6381454093f));
  l = _mm256_fmadd_ps(l, t, _mm256_set1_ps(1.127088839f));
  l = _mm256_fmadd_ps(l, t, _mm256_set1_ps(0.0003416101961f));
  const __m256 large = _mm256_sub_ps(_mm256_set1_ps(1.0f), exp(_mm256_sub_ps(_mm256_setzero_ps(), l)));
  const __m256 is_small = _mm256_cmp_ps(a, _mm256_set1_ps(1.0f), _CMP_LT_OQ);
  return _mm256_blendv_ps(_mm256_or_ps(large, sign), small, is_small);
}

/// gelu's tanh form, 0.5 x (1 + tanh(u)) with u = sqrt(2/pi) (x + 0.044715 x³), as x sigmoid(2u), which loses no digits
/// for negative x.
inline __m256 gelu_tanh(__m256 x) {
  const __m256 cubic = _mm256_fmadd_ps(_mm256_mul_ps(x, x), _mm256_set1_ps(0.044715f), _mm256_set1_ps(1.0f));
  const __m256 minus_2u = _mm256_mul_ps(_mm256_mul_ps(x, _mm256_set1_ps(-1.595769122f)), cubic);
  return _mm256_div_ps(x, _mm256_add_ps(_mm256_set1_ps(1.0f), exp(minus_2u)));
}

/// 0.5 x (1 + erf(x / sqrt(2)))
inline __m256 gelu_erf(__m256 x) {
  const __m256 e = erf(_mm256_mul_ps(x, _mm256_set1_ps(0.707106781f)));
  return _mm256_mul_ps(_mm256_mul_ps(_mm256_set1_ps(0.5f), x), _mm256_add_ps(_mm256_set1_ps(1.0f), e));
}

}  // namespace tenon::kernels::avx2_isa
