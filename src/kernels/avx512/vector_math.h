// Elementary functions of 16 floats for AVX-512, within 2.5 ulp of the true value (vector_math_test.cpp measures it).
// NaN gives NaN, infinities and denormal arguments are handled; results below 3e-37 may come out as zero (exp's do
// not). Same polynomials, same order as avx2/vector_math.h.
#pragma once

#include <immintrin.h>

namespace tenon::kernels::avx512_isa {

/// e^x. 0 below -103.98, infinity above 88.73.
inline __m512 exp(__m512 x) {
  // With x as the second operand min and max let NaN through.
  x = _mm512_min_ps(_mm512_set1_ps(89.0f), _mm512_max_ps(_mm512_set1_ps(-105.0f), x));
  // x = n ln2 + r, |r| <= ln2 / 2; ln2 in two parts.
  const __m512 n = _mm512_roundscale_ps(_mm512_mul_ps(x, _mm512_set1_ps(1.44269504f)),
                                        _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
  __m512 r = _mm512_fnmadd_ps(n, _mm512_set1_ps(0x1.62e430p-1f), x);
  r = _mm512_fnmadd_ps(n, _mm512_set1_ps(-1.90465432e-9f), r);
  // e^r = 1 + r + r² p(r): minimax, relative error 2^-28.
  __m512 p = _mm512_set1_ps(0.001381387656f);
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(0.008369063525f));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(0.0416684219f));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(0.1666651776f));
  p = _mm512_fmadd_ps(p, r, _mm512_set1_ps(0.4999999325f));
  p = _mm512_add_ps(_mm512_fmadd_ps(_mm512_mul_ps(r, r), p, r), _mm512_set1_ps(1.0f));
  return _mm512_scalef_ps(p, n);
}

/// 1 / (1 + e^-x)
inline __m512 sigmoid(__m512 x) {
  const __m512 one = _mm512_set1_ps(1.0f);
  return _mm512_div_ps(one, _mm512_add_ps(one, exp(_mm512_sub_ps(_mm512_setzero_ps(), x))));
}

/// x / (1 + e^-x)
inline __m512 silu(__m512 x) {
  return _mm512_div_ps(x, _mm512_add_ps(_mm512_set1_ps(1.0f), exp(_mm512_sub_ps(_mm512_setzero_ps(), x))));
}

inline __m512 tanh(__m512 x) {
  const __m512 sign = _mm512_and_ps(x, _mm512_set1_ps(-0.0f));
  const __m512 a = _mm512_andnot_ps(_mm512_set1_ps(-0.0f), x);
  // |x| < 0.625: x + x³ q(x²), minimax.
  const __m512 s = _mm512_mul_ps(x, x);
  __m512 q = _mm512_set1_ps(-0.005717041905f);
  q = _mm512_fmadd_ps(q, s, _mm512_set1_ps(0.02065058427f));
  q = _mm512_fmadd_ps(q, s, _mm512_set1_ps(-0.05374349708f));
  q = _mm512_fmadd_ps(q, s, _mm512_set1_ps(0.1333149127f));
  q = _mm512_fmadd_ps(q, s, _mm512_set1_ps(-0.3333328392f));
  const __m512 small = _mm512_fmadd_ps(_mm512_mul_ps(s, q), x, x);
  // Else 1 - 2 / (e^2|x| + 1).
  const __m512 e = exp(_mm512_add_ps(a, a));
  const __m512 one = _mm512_set1_ps(1.0f);
  const __m512 large = _mm512_sub_ps(one, _mm512_div_ps(_mm512_set1_ps(2.0f), _mm512_add_ps(e, one)));
  const __mmask16 is_small = _mm512_cmp_ps_mask(a, _mm512_set1_ps(0.625f), _CMP_LT_OQ);
  return _mm512_mask_blend_ps(is_small, _mm512_or_ps(large, sign), small);
}

inline __m512 erf(__m512 x) {
  const __m512 sign = _mm512_and_ps(x, _mm512_set1_ps(-0.0f));
  const __m512 a = _mm512_andnot_ps(_mm512_set1_ps(-0.0f), x);
  // |x| < 1: x p(x²), minimax.
  const __m512 s = _mm512_mul_ps(x, x);
  __m512 p = _mm512_set1_ps(7.853839756e-5f);
  p = _mm512_fmadd_ps(p, s, _mm512_set1_ps(-0.0008010186862f));
  p = _mm512_fmadd_ps(p, s, _mm512_set1_ps(0.005188326884f));
  p = _mm512_fmadd_ps(p, s, _mm512_set1_ps(-0.02685381149f));
  p = _mm512_fmadd_ps(p, s, _mm512_set1_ps(0.1128358514f));
  p = _mm512_fmadd_ps(p, s, _mm512_set1_ps(-0.3761262582f));
  p = _mm512_fmadd_ps(p, s, _mm512_set1_ps(1.128379166f));
  const __m512 small = _mm512_mul_ps(x, p);
  // Else 1 - e^-l(|x|), l = -log(erfc) on [1, 4], minimax; erf(4) rounds to 1.
  const __m512 t = _mm512_min_ps(_mm512_set1_ps(4.0f), a);
  __m512 l = _mm512_set1_ps(-0.0001863734398f);
  l = _mm512_fmadd_ps(l, t, _mm512_set1_ps(0.002947600885f));
  l = _mm512_fmadd_ps(l, t, _mm512_set1_ps(-0.02183783066f));
  l = _mm512_fmadd_ps(l, t, _mm512_set1_ps(0.1031062601f));
  l = _mm512_fmadd_ps(l, t, _mm512_set1_ps(0.6381454093f));
  l = _mm512_fmadd_ps(l, t, _mm512_set1_ps(1.127088839f));
  l = _mm512_fmadd_ps(l, t, _mm512_set1_ps(0.0003416101961f));
  const __m512 large = _mm512_sub_ps(_mm512_set1_ps(1.0f), exp(_mm512_sub_ps(_mm512_setzero_ps(), l)));
  const __mmask16 is_small = _mm512_cmp_ps_mask(a, _mm512_set1_ps(1.0f), _CMP_LT_OQ);
  return _mm512_mask_blend_ps(is_small, _mm512_or_ps(large, sign), small);
}

/// gelu's tanh form, 0.5 x (1 + tanh(u)) with u = sqrt(2/pi) (x + 0.044715 x³), as x sigmoid(2u), which loses no digits
/// for negative x.
inline __m512 gelu_tanh(__m512 x) {
  const __m512 cubic = _mm512_fmadd_ps(_mm512_mul_ps(x, x), _mm512_set1_ps(0.044715f), _mm512_set1_ps(1.0f));
  const __m512 minus_2u = _mm512_mul_ps(_mm512_mul_ps(x, _mm512_set1_ps(-1.595769122f)), cubic);
  return _mm512_div_ps(x, _mm512_add_ps(_mm512_set1_ps(1.0f), exp(minus_2u)));
}

/// 0.5 x (1 + erf(x / sqrt(2)))
inline __m512 gelu_erf(__m512 x) {
  const __m512 e = erf(_mm512_mul_ps(x, _mm512_set1_ps(0.707106781f)));
  return _mm512_mul_ps(_mm512_mul_ps(_mm512_set1_ps(0.5f), x), _mm512_add_ps(_mm512_set1_ps(1.0f), e));
}

}  // namespace tenon::kernels::avx512_isa
