#include <immintrin.h>

#include "kernels/probe_part.h"

namespace tenon::kernels::avx2_isa {
namespace {

constexpr int kChains = 12;  // more than latency times throughput
constexpr int kLanes = 8;

__m256i load(const std::byte* p) { return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)); }

float read(const std::byte* data, std::int64_t bytes) {
  __m256i x[8] = {};
  for (std::int64_t i = 0; i < bytes; i += 256) {
#pragma GCC unroll 8
    for (int j = 0; j < 8; ++j) x[j] = _mm256_xor_si256(x[j], load(data + i + 32 * j));
  }
  for (int j = 1; j < 8; ++j) x[0] = _mm256_xor_si256(x[0], x[j]);
  return static_cast<float>(_mm256_extract_epi32(x[0], 0) ^ _mm256_extract_epi32(x[0], 7));
}

float f32(std::int64_t steps) {
  __m256 x[kChains];
  for (int j = 0; j < kChains; ++j) x[j] = _mm256_set1_ps(static_cast<float>(j));  // none the same as another
  const __m256 a = _mm256_set1_ps(0.999f);
  for (std::int64_t i = 0; i < steps; ++i) {
#pragma GCC unroll 12
    for (int j = 0; j < kChains; ++j) x[j] = _mm256_fmadd_ps(x[j], a, a);
  }
  for (int j = 1; j < kChains; ++j) x[0] = _mm256_add_ps(x[0], x[j]);
  return _mm256_cvtss_f32(x[0]);
}

// Bytes by bytes to 16 bits, pairs of those to 32 bits, added.
float int8(std::int64_t steps) {
  __m256i x[kChains];
  for (int j = 0; j < kChains; ++j) x[j] = _mm256_set1_epi32(j);
  const __m256i ones = _mm256_set1_epi16(1), b = _mm256_set1_epi8(2);
  for (std::int64_t i = 0; i < steps; ++i) {
#pragma GCC unroll 12
    for (int j = 0; j < kChains; ++j) {
      // The sum so far is an operand, so that no product is computed once for all.
      x[j] = _mm256_add_epi32(x[j], _mm256_madd_epi16(_mm256_maddubs_epi16(x[j], b), ones));
    }
  }
  for (int j = 1; j < kChains; ++j) x[0] = _mm256_add_epi32(x[0], x[j]);
  return static_cast<float>(_mm256_cvtsi256_si32(x[0]));
}

}  // namespace

constinit const ProbePart kProbe = {.read = read,
                                    .bf16 = f32,
                                    .f32 = f32,
                                    .int8 = int8,
                                    .bf16_operations = kChains * kLanes * 2,
                                    .f32_operations = kChains * kLanes * 2,
                                    .int8_operations = kChains * kLanes * 8};

}  // namespace tenon::kernels::avx2_isa
