// How quantized weights and their int8 activations lie in memory: the same for every ISA. Constants only, so that units
// compiled for different ISAs can all include it.
//
// A panel is kPanel columns. It is a row of super-blocks: a header, then kSuper blocks of 32 values of K for every
// column:
//   codes   8 quads (a quad: four consecutive K values of one column, one byte each: the lane of a dot instruction)
//     8 bits  [quad 0..7][column][4]
//     4 bits  [quad 0..3][column][4]: low nibble quad q, high nibble quad q + 4
//     5 bits  the same, then [column][4]: bit q of byte e is the fifth bit of element 4q + e
//     MXFP4   as 4 bits; a code is E2M1's, which kMxfp4Codes makes a number
//     6 bits  the same as 4 bits, then [half h][column][4]: bits 2t, 2t+1 of byte e are the upper two of quad 4h + t
//   scales  see Scales
// A weight is scale * (code - kZeroPoint) + min, codes being unsigned.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/kernels.h"

namespace tenon::kernels::quant {

inline constexpr int kBlock = 32;  ///< K values that share an activation scale
inline constexpr int kQuads = 8;   ///< quads of a block

/// 32 activations of one row: x = scale * values. A non-finite input makes scale NaN, and so every output of that row.
struct ActivationBlock {
  std::int8_t values[kBlock];
  float scale;                 ///< max |x| / 127
  float sum;                   ///< of values
  std::int32_t negated_sum;    ///< -sum, to correct for a zero point
  std::int32_t negated_first;  ///< -sum of the first 16
};
static_assert(sizeof(ActivationBlock) == 48);

/// Stored scales, as the GGUF format has them; and those of an unpacked panel (kFloat…), which are the same numbers.
enum class Scales {
  kHalf,         ///< block: f16 d[column]
  kHalfMin,      ///< block: f16 d[column], f16 m[column]
  kSuperMin,     ///< header: f16 d, f16 dmin; block: u8 scale, u8 min; the scale is d * scale, the min is -(dmin * min)
  kSuperHalves,  ///< header: f16 d; block: i8 scale[2][column], one for each 16 values
  kPowerOfTwo,   ///< block: u8 e[column]; the scale is 2^(e - 128), and 255 is NaN
  kFloat,        ///< block: f32 scale[column]
  kFloatMin,     ///< block: f32 scale, f32 min
  kFloatHalves,  ///< block: f32 scale[2][column]
};

constexpr int header_bytes(Scales s) {
  return s == Scales::kSuperMin ? 4 * kPanel : s == Scales::kSuperHalves ? 2 * kPanel : 0;
}
constexpr int scale_bytes(Scales s) {
  switch (s) {
    case Scales::kHalf:
    case Scales::kSuperMin:
    case Scales::kSuperHalves:
      return 2 * kPanel;
    case Scales::kPowerOfTwo:
      return kPanel;
    case Scales::kHalfMin:
    case Scales::kFloat:
      return 4 * kPanel;
    case Scales::kFloatMin:
    case Scales::kFloatHalves:
      break;
  }
  return 8 * kPanel;
}
constexpr Scales unpacked(Scales s) {
  if (s == Scales::kSuperHalves) return Scales::kFloatHalves;
  return s == Scales::kHalfMin || s == Scales::kSuperMin ? Scales::kFloatMin : Scales::kFloat;
}

/// kStored bits a code in memory; codes are below 2^kCodeBits. Where that is more, those in memory are looked up.
template <int kStored, int kBits, int kZero, Scales kKind>
struct Format {
  static constexpr int kStoredBits = kStored;
  static constexpr int kCodeBits = kBits;
  static constexpr bool kLookedUp = kBits > kStored;
  static constexpr int kZeroPoint = kZero;
  static constexpr Scales kScales = kKind;
  static constexpr bool kHasMin = kKind == Scales::kHalfMin || kKind == Scales::kSuperMin || kKind == Scales::kFloatMin;
  static constexpr int kGroups = kKind == Scales::kSuperHalves || kKind == Scales::kFloatHalves ? 2 : 1;
  static constexpr int kSuper = kKind == Scales::kSuperMin || kKind == Scales::kSuperHalves ? 8 : 1;
  static constexpr int kHeaderBytes = header_bytes(kKind);
  static constexpr int kScaleOffset = kPanel * kBlock * kStored / 8;  ///< from the block's start
  static constexpr int kBlockBytes = kScaleOffset + scale_bytes(kKind);
  static constexpr int kSuperBytes = kHeaderBytes + kSuper * kBlockBytes;

  /// A byte a code and float scales: what a block is turned into when many rows use it.
  using Unpacked = Format<8, kBits, kZero, unpacked(kKind)>;
};

using FormatQ8_0 = Format<8, 8, 128, Scales::kHalf>;
using FormatQ4_0 = Format<4, 4, 8, Scales::kHalf>;
using FormatQ4_1 = Format<4, 4, 0, Scales::kHalfMin>;
using FormatQ5_0 = Format<5, 5, 16, Scales::kHalf>;
using FormatQ5_1 = Format<5, 5, 0, Scales::kHalfMin>;
using FormatQ4_K = Format<4, 4, 0, Scales::kSuperMin>;
using FormatQ5_K = Format<5, 5, 0, Scales::kSuperMin>;
using FormatQ6_K = Format<6, 6, 32, Scales::kSuperHalves>;
using FormatMXFP4 = Format<4, 5, 16, Scales::kPowerOfTwo>;

/// E2M1's values doubled (tensor::kE2M1Doubled), plus the zero point of FormatMXFP4.
inline constexpr std::uint8_t kMxfp4Codes[16] = {16, 17, 18, 19, 20, 22, 24, 28, 16, 15, 14, 13, 12, 10, 8, 4};

}  // namespace tenon::kernels::quant
