// Quantized blocks as GGUF stores them (ggml's published formats), and FP8's; the formulas are in dtype.cpp.
// Little-endian.
#pragma once

#include <cstdint>

namespace tenon::tensor {

using F16Bits = std::uint16_t;  ///< IEEE half precision, as bits: from_f16()

inline constexpr int kBlockElements = 32;        ///< Q4_0 … Q8_0, MXFP4
inline constexpr int kSuperBlockElements = 256;  ///< the K formats
inline constexpr int kFp8Elements = 128;         ///< FP8

/// x[i] = d * (q - 8). The low nibble of qs[j] is element j, the high nibble element j + 16.
struct BlockQ4_0 {
  F16Bits d;
  std::uint8_t qs[16];
};
static_assert(sizeof(BlockQ4_0) == 18);

/// x[i] = d * q + m, nibbles as in Q4_0.
struct BlockQ4_1 {
  F16Bits d;
  F16Bits m;
  std::uint8_t qs[16];
};
static_assert(sizeof(BlockQ4_1) == 20);

/// x[i] = d * (q - 16): low four bits as in Q4_0, the fifth of element i is bit i of qh (a little-endian word).
struct BlockQ5_0 {
  F16Bits d;
  std::uint8_t qh[4];
  std::uint8_t qs[16];
};
static_assert(sizeof(BlockQ5_0) == 22);

/// x[i] = d * q + m, bits as in Q5_0.
struct BlockQ5_1 {
  F16Bits d;
  F16Bits m;
  std::uint8_t qh[4];
  std::uint8_t qs[16];
};
static_assert(sizeof(BlockQ5_1) == 24);

/// x[i] = d * qs[i].
struct BlockQ8_0 {
  F16Bits d;
  std::int8_t qs[32];
};
static_assert(sizeof(BlockQ8_0) == 34);

/// Eight groups of 32, x[i] = d * scale[g] * q - dmin * min[g]. `scales` packs eight 6-bit scales and eight 6-bit
/// minima (k_scale_min). Groups 2c and 2c+1 are the low and the high nibbles of qs[32c .. 32c+31].
struct BlockQ4_K {
  F16Bits d;
  F16Bits dmin;
  std::uint8_t scales[12];
  std::uint8_t qs[128];
};
static_assert(sizeof(BlockQ4_K) == 144);

/// As Q4_K; the fifth bit of group g's element j is bit g of qh[j].
struct BlockQ5_K {
  F16Bits d;
  F16Bits dmin;
  std::uint8_t scales[12];
  std::uint8_t qh[32];
  std::uint8_t qs[128];
};
static_assert(sizeof(BlockQ5_K) == 176);

/// Sixteen groups of 16, x[i] = d * scales[i / 16] * (q - 32). Of each half of 128 elements (h), elements 32g + j have
/// their low four bits in ql[64h + 32(g & 1) + j] (low nibble for g < 2, high nibble otherwise) and their upper two in
/// bits 2g, 2g+1 of qh[32h + j].
struct BlockQ6_K {
  std::uint8_t ql[128];
  std::uint8_t qh[64];
  std::int8_t scales[16];
  F16Bits d;
};
static_assert(sizeof(BlockQ6_K) == 210);

/// OCP Microscaling v1.0, MXFP4: x[i] = 2^(e - 127) * kE2M1Doubled[code] / 2, codes as in Q4_0; e = 255 is NaN.
struct BlockMXFP4 {
  std::uint8_t e;
  std::uint8_t qs[16];
};
static_assert(sizeof(BlockMXFP4) == 17);

/// x[i] = d * qs[i], an E4M3 code ("fn": no infinity, one NaN). No file holds it: it is made of a SafeTensors matrix of
/// F8_E4M3 and the scales beside it, of 128 x 128 each (docs/adr/0009).
struct BlockFP8 {
  float d;
  std::uint8_t qs[kFp8Elements];
};
static_assert(sizeof(BlockFP8) == 132);

/// Twice the value of each E2M1 code (sign, two bits of exponent, one of mantissa): integers.
inline constexpr std::int8_t kE2M1Doubled[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

struct ScaleMin {
  std::uint8_t scale;
  std::uint8_t min;
};
/// The 6-bit scale and minimum of group g (0 .. 7) of a Q4_K or Q5_K block.
inline ScaleMin k_scale_min(const std::uint8_t* scales, int g) {
  if (g < 4) return {static_cast<std::uint8_t>(scales[g] & 63), static_cast<std::uint8_t>(scales[g + 4] & 63)};
  return {static_cast<std::uint8_t>((scales[g + 4] & 15) | (scales[g - 4] >> 6 << 4)),
          static_cast<std::uint8_t>((scales[g + 4] >> 4) | (scales[g] >> 6 << 4))};
}

}  // namespace tenon::tensor
