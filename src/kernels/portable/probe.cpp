#include "kernels/probe_part.h"

#include <cstring>

namespace tenon::kernels::portable_isa {
namespace {

typedef float Floats __attribute__((vector_size(16)));
typedef std::uint64_t Words __attribute__((vector_size(16)));
constexpr int kChains = 12;  // more than latency times throughput
constexpr int kLanes = 4;

float read(const std::byte* data, std::int64_t bytes) {
  Words x[8] = {};
  for (std::int64_t i = 0; i < bytes; i += 128) {
#pragma GCC unroll 8
    for (int j = 0; j < 8; ++j) {
      Words words;
      std::memcpy(&words, data + i + 16 * j, sizeof words);
      x[j] ^= words;
    }
  }
  for (int j = 1; j < 8; ++j) x[0] ^= x[j];
  return static_cast<float>(x[0][0] ^ x[0][1]);
}

float f32(std::int64_t steps) {
  Floats x[kChains];
  for (int j = 0; j < kChains; ++j) x[j] = Floats{} + static_cast<float>(j);  // none the same as another
  const Floats a = {0.999f, 0.999f, 0.999f, 0.999f};
  for (std::int64_t i = 0; i < steps; ++i) {
#pragma GCC unroll 12
    for (int j = 0; j < kChains; ++j) x[j] = x[j] * a + a;
  }
  for (int j = 1; j < kChains; ++j) x[0] += x[j];
  return x[0][0];
}

}  // namespace

constinit const ProbePart kProbe = {.read = read,
                                    .bf16 = f32,
                                    .f32 = f32,
                                    .int8 = nullptr,
                                    .bf16_operations = kChains * kLanes * 2,
                                    .f32_operations = kChains * kLanes * 2,
                                    .int8_operations = 0};

}  // namespace tenon::kernels::portable_isa
