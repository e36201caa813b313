#include <immintrin.h>

#include "kernels/probe_part.h"

namespace tenon::kernels::avx512_isa {
namespace {

constexpr int kChains = 16;  // more than latency times throughput
constexpr int kLanes = 16;

float read(const std::byte* data, std::int64_t bytes) {
  __m512i x[8] = {};
  for (std::int64_t i = 0; i < bytes; i += 512) {
#pragma GCC unroll 8
    for (int j = 0; j < 8; ++j) x[j] = _mm512_xor_si512(x[j], _mm512_loadu_si512(data + i + 64 * j));
  }
  for (int j = 1; j < 8; ++j) x[0] = _mm512_xor_si512(x[0], x[j]);
  return static_cast<float>(_mm512_reduce_or_epi32(x[0]));
}

template <class Step>
float floats(std::int64_t steps, Step step) {
  __m512 x[kChains];
  for (int j = 0; j < kChains; ++j) x[j] = _mm512_set1_ps(static_cast<float>(j));  // none the same as another
  for (std::int64_t i = 0; i < steps; ++i) {
#pragma GCC unroll 16
    for (int j = 0; j < kChains; ++j) x[j] = step(x[j]);
  }
  for (int j = 1; j < kChains; ++j) x[0] = _mm512_add_ps(x[0], x[j]);
  return _mm512_reduce_add_ps(x[0]);
}

float bf16(std::int64_t steps) {
  const auto a = reinterpret_cast<__m512bh>(_mm512_set1_epi16(0x3f80));
  const auto b = reinterpret_cast<__m512bh>(_mm512_set1_epi16(0x3c00));
  return floats(steps, [&](__m512 x) { return _mm512_dpbf16_ps(x, a, b); });
}

float f32(std::int64_t steps) {
  const __m512 a = _mm512_set1_ps(0.999f);
  return floats(steps, [&](__m512 x) { return _mm512_fmadd_ps(x, a, a); });
}

float int8(std::int64_t steps) {
  __m512i x[kChains];
  for (int j = 0; j < kChains; ++j) x[j] = _mm512_set1_epi32(j);
  const __m512i a = _mm512_set1_epi8(3), b = _mm512_set1_epi8(2);
  for (std::int64_t i = 0; i < steps; ++i) {
#pragma GCC unroll 16
    for (int j = 0; j < kChains; ++j) x[j] = _mm512_dpbusd_epi32(x[j], a, b);
  }
  for (int j = 1; j < kChains; ++j) x[0] = _mm512_add_epi32(x[0], x[j]);
  return static_cast<float>(_mm512_reduce_add_epi32(x[0]));
}

}  // namespace

constinit const ProbePart kProbe = {.read = read,
                                    .bf16 = bf16,
                                    .f32 = f32,
                                    .int8 = int8,
                                    .bf16_operations = kChains * kLanes * 4,
                                    .f32_operations = kChains * kLanes * 2,
                                    .int8_operations = kChains * kLanes * 8};

}  // namespace tenon::kernels::avx512_isa
