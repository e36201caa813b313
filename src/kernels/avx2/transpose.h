// Transposition of 8 x 8 words in registers.
#pragma once

#include <immintrin.h>

namespace tenon::kernels::avx2_isa {

/// v[i] lane j becomes v[j] lane i.
inline void transpose8(__m256i (&v)[8]) {
  __m256i a[8], b[8];
  // 2 x 2 words, then 4 x 4 within each 128-bit lane: b[4g + c] holds column c of each lane, of rows 4g .. 4g + 3.
#pragma GCC unroll 4
  for (int i = 0; i < 8; i += 2) {
    a[i] = _mm256_unpacklo_epi32(v[i], v[i + 1]);
    a[i + 1] = _mm256_unpackhi_epi32(v[i], v[i + 1]);
  }
#pragma GCC unroll 2
  for (int g = 0; g < 8; g += 4) {
    b[g] = _mm256_unpacklo_epi64(a[g], a[g + 2]);
    b[g + 1] = _mm256_unpackhi_epi64(a[g], a[g + 2]);
    b[g + 2] = _mm256_unpacklo_epi64(a[g + 1], a[g + 3]);
    b[g + 3] = _mm256_unpackhi_epi64(a[g + 1], a[g + 3]);
  }
#pragma GCC unroll 4
  for (int c = 0; c < 4; ++c) {
    v[c] = _mm256_permute2x128_si256(b[c], b[4 + c], 0x20);
    v[4 + c] = _mm256_permute2x128_si256(b[c], b[4 + c], 0x31);
  }
}

}  // namespace tenon::kernels::avx2_isa
