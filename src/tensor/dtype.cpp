#include "tensor/dtype.h"

#include <array>
#include <bit>
#include <cmath>
#include <cstddef>
#include <cstring>
#include <limits>

#include "base/check.h"
#include "tensor/blocks.h"

namespace tenon::tensor {
namespace {

// In the order of the enumeration.
constexpr std::array kInfo = {
    DTypeInfo{"F64", 1, 8, false},
    DTypeInfo{"F32", 1, 4, false},
    DTypeInfo{"F16", 1, 2, false},
    DTypeInfo{"BF16", 1, 2, false},
    DTypeInfo{"F8_E4M3", 1, 1, false},
    DTypeInfo{"F8_E5M2", 1, 1, false},
    DTypeInfo{"I64", 1, 8, false},
    DTypeInfo{"I32", 1, 4, false},
    DTypeInfo{"I16", 1, 2, false},
    DTypeInfo{"I8", 1, 1, false},
    DTypeInfo{"U8", 1, 1, false},
    DTypeInfo{"BOOL", 1, 1, false},
    DTypeInfo{"Q4_0", kBlockElements, sizeof(BlockQ4_0), true},
    DTypeInfo{"Q4_1", kBlockElements, sizeof(BlockQ4_1), true},
    DTypeInfo{"Q5_0", kBlockElements, sizeof(BlockQ5_0), true},
    DTypeInfo{"Q5_1", kBlockElements, sizeof(BlockQ5_1), true},
    DTypeInfo{"Q8_0", kBlockElements, sizeof(BlockQ8_0), true},
    DTypeInfo{"Q4_K", kSuperBlockElements, sizeof(BlockQ4_K), true},
    DTypeInfo{"Q5_K", kSuperBlockElements, sizeof(BlockQ5_K), true},
    DTypeInfo{"Q6_K", kSuperBlockElements, sizeof(BlockQ6_K), true},
    DTypeInfo{"MXFP4", kBlockElements, sizeof(BlockMXFP4), true},
    DTypeInfo{"FP8", kFp8Elements, sizeof(BlockFP8), true},
};
static_assert(kInfo.size() == static_cast<std::size_t>(DType::kFP8) + 1);

// Rows of a mapped file may lie at any address, so elements and blocks are copied out of it.
template <class T>
T load(const std::byte* p) {
  T value;
  std::memcpy(&value, p, sizeof value);
  return value;
}

template <class T, class Convert>
void convert(const std::byte* row, std::int64_t n, float* out, Convert to) {
  for (std::int64_t i = 0; i < n; ++i) out[i] = to(load<T>(row + i * static_cast<std::int64_t>(sizeof(T))));
}

template <class Block, class Decode>
void decode_blocks(const std::byte* row, std::int64_t n, int block_elements, float* out, Decode decode) {
  TENON_CHECK(n % block_elements == 0, "a quantized row must be whole blocks");
  for (std::int64_t i = 0; i < n; i += block_elements, row += sizeof(Block)) decode(load<Block>(row), out + i);
}

// Small floats are widened by their value, not by bit tricks: 256 values need no speed here.
float small_float(int sign, int exponent, int mantissa, int mantissa_bits, int bias) {
  const float fraction = std::ldexp(static_cast<float>(mantissa), -mantissa_bits);
  const float magnitude = exponent == 0 ? std::ldexp(fraction, 1 - bias) : std::ldexp(1.0f + fraction, exponent - bias);
  return sign != 0 ? -magnitude : magnitude;
}

// The "fn" variant that checkpoints use: no infinities, one NaN (OCP 8-bit floating point specification).
float e4m3_value(std::uint8_t x) {
  if ((x & 0x7f) == 0x7f) return std::numeric_limits<float>::quiet_NaN();
  return small_float(x >> 7, (x >> 3) & 15, x & 7, 3, 7);
}

// By a table, since whole models are converted.
float from_f8_e4m3(std::uint8_t x) {
  static const std::array<float, 256> values = [] {
    std::array<float, 256> all{};
    for (std::size_t code = 0; code < all.size(); ++code) all[code] = e4m3_value(static_cast<std::uint8_t>(code));
    return all;
  }();
  return values[x];
}

float from_f8_e5m2(std::uint8_t x) { return from_f16(static_cast<std::uint16_t>(x << 8)); }

void decode_q4_0(const BlockQ4_0& block, float* out) {
  const float d = from_f16(block.d);
  for (int j = 0; j < 16; ++j) {
    out[j] = static_cast<float>((block.qs[j] & 15) - 8) * d;
    out[j + 16] = static_cast<float>((block.qs[j] >> 4) - 8) * d;
  }
}

void decode_q4_1(const BlockQ4_1& block, float* out) {
  const float d = from_f16(block.d);
  const float m = from_f16(block.m);
  for (int j = 0; j < 16; ++j) {
    out[j] = static_cast<float>(block.qs[j] & 15) * d + m;
    out[j + 16] = static_cast<float>(block.qs[j] >> 4) * d + m;
  }
}

// Element i of a block with a fifth bit, 0 .. 31.
int five_bits(const std::uint8_t* qs, const std::uint8_t* qh, int i) {
  const int low = i < 16 ? qs[i] & 15 : qs[i - 16] >> 4;
  return low | (((qh[i / 8] >> (i % 8)) & 1) << 4);
}

void decode_q5_0(const BlockQ5_0& block, float* out) {
  const float d = from_f16(block.d);
  for (int i = 0; i < 32; ++i) out[i] = static_cast<float>(five_bits(block.qs, block.qh, i) - 16) * d;
}

void decode_q5_1(const BlockQ5_1& block, float* out) {
  const float d = from_f16(block.d);
  const float m = from_f16(block.m);
  for (int i = 0; i < 32; ++i) out[i] = static_cast<float>(five_bits(block.qs, block.qh, i)) * d + m;
}

void decode_q8_0(const BlockQ8_0& block, float* out) {
  const float d = from_f16(block.d);
  for (int i = 0; i < 32; ++i) out[i] = static_cast<float>(block.qs[i]) * d;
}

void decode_q4_k(const BlockQ4_K& block, float* out) {
  const float d = from_f16(block.d);
  const float dmin = from_f16(block.dmin);
  for (int g = 0; g < 8; ++g) {
    const ScaleMin group = k_scale_min(block.scales, g);
    const float scale = d * static_cast<float>(group.scale);
    const float min = dmin * static_cast<float>(group.min);
    const std::uint8_t* qs = block.qs + g / 2 * 32;
    for (int j = 0; j < 32; ++j) {
      const int q = g % 2 == 0 ? qs[j] & 15 : qs[j] >> 4;
      out[32 * g + j] = scale * static_cast<float>(q) - min;
    }
  }
}

void decode_q5_k(const BlockQ5_K& block, float* out) {
  const float d = from_f16(block.d);
  const float dmin = from_f16(block.dmin);
  for (int g = 0; g < 8; ++g) {
    const ScaleMin group = k_scale_min(block.scales, g);
    const float scale = d * static_cast<float>(group.scale);
    const float min = dmin * static_cast<float>(group.min);
    const std::uint8_t* qs = block.qs + g / 2 * 32;
    for (int j = 0; j < 32; ++j) {
      const int q = (g % 2 == 0 ? qs[j] & 15 : qs[j] >> 4) | (((block.qh[j] >> g) & 1) << 4);
      out[32 * g + j] = scale * static_cast<float>(q) - min;
    }
  }
}

void decode_q6_k(const BlockQ6_K& block, float* out) {
  const float d = from_f16(block.d);
  for (int half = 0; half < 2; ++half) {
    for (int g = 0; g < 4; ++g) {
      for (int j = 0; j < 32; ++j) {
        const int byte = block.ql[64 * half + 32 * (g & 1) + j];
        const int low = g < 2 ? byte & 15 : byte >> 4;
        const int q = (low | (((block.qh[32 * half + j] >> (2 * g)) & 3) << 4)) - 32;
        const int i = 128 * half + 32 * g + j;
        out[i] = d * static_cast<float>(block.scales[i / 16]) * static_cast<float>(q);
      }
    }
  }
}

void decode_mxfp4(const BlockMXFP4& block, float* out) {
  const float half = block.e == 255 ? std::numeric_limits<float>::quiet_NaN() : std::ldexp(1.0f, block.e - 128);
  for (int j = 0; j < 16; ++j) {
    out[j] = static_cast<float>(kE2M1Doubled[block.qs[j] & 15]) * half;
    out[j + 16] = static_cast<float>(kE2M1Doubled[block.qs[j] >> 4]) * half;
  }
}

void decode_fp8(const BlockFP8& block, float* out) {
  for (int i = 0; i < kFp8Elements; ++i) out[i] = from_f8_e4m3(block.qs[i]) * block.d;
}

}  // namespace

const DTypeInfo& info(DType dtype) { return kInfo[static_cast<std::size_t>(dtype)]; }

std::optional<DType> dtype_from_name(std::string_view name) {
  for (std::size_t i = 0; i < kInfo.size(); ++i) {
    if (name == kInfo[i].name) return static_cast<DType>(i);
  }
  return std::nullopt;
}

std::int64_t bytes_of(DType dtype, std::int64_t elements) {
  const DTypeInfo& type = info(dtype);
  TENON_CHECK(elements >= 0 && elements % type.block_elements == 0, "elements must be whole blocks");
  std::int64_t bytes = 0;
  if (__builtin_mul_overflow(elements / type.block_elements, type.block_bytes, &bytes)) {
    return std::numeric_limits<std::int64_t>::max();
  }
  return bytes;
}

void to_float(DType dtype, const void* row, std::int64_t n, float* out) {
  const auto* bytes = static_cast<const std::byte*>(row);
  const auto widen = [](auto x) { return static_cast<float>(x); };
  switch (dtype) {
    case DType::kF64:
      return convert<double>(bytes, n, out, widen);
    case DType::kF32:
      return convert<float>(bytes, n, out, widen);
    case DType::kF16:
      return convert<std::uint16_t>(bytes, n, out, from_f16);
    case DType::kBF16:
      return convert<std::uint16_t>(bytes, n, out, from_bf16);
    case DType::kF8E4M3:
      return convert<std::uint8_t>(bytes, n, out, from_f8_e4m3);
    case DType::kF8E5M2:
      return convert<std::uint8_t>(bytes, n, out, from_f8_e5m2);
    case DType::kI64:
      return convert<std::int64_t>(bytes, n, out, widen);
    case DType::kI32:
      return convert<std::int32_t>(bytes, n, out, widen);
    case DType::kI16:
      return convert<std::int16_t>(bytes, n, out, widen);
    case DType::kI8:
      return convert<std::int8_t>(bytes, n, out, widen);
    case DType::kU8:
      return convert<std::uint8_t>(bytes, n, out, widen);
    case DType::kBool:
      return convert<std::uint8_t>(bytes, n, out, [](std::uint8_t x) { return x != 0 ? 1.0f : 0.0f; });
    case DType::kQ4_0:
      return decode_blocks<BlockQ4_0>(bytes, n, kBlockElements, out, decode_q4_0);
    case DType::kQ4_1:
      return decode_blocks<BlockQ4_1>(bytes, n, kBlockElements, out, decode_q4_1);
    case DType::kQ5_0:
      return decode_blocks<BlockQ5_0>(bytes, n, kBlockElements, out, decode_q5_0);
    case DType::kQ5_1:
      return decode_blocks<BlockQ5_1>(bytes, n, kBlockElements, out, decode_q5_1);
    case DType::kQ8_0:
      return decode_blocks<BlockQ8_0>(bytes, n, kBlockElements, out, decode_q8_0);
    case DType::kQ4_K:
      return decode_blocks<BlockQ4_K>(bytes, n, kSuperBlockElements, out, decode_q4_k);
    case DType::kQ5_K:
      return decode_blocks<BlockQ5_K>(bytes, n, kSuperBlockElements, out, decode_q5_k);
    case DType::kQ6_K:
      return decode_blocks<BlockQ6_K>(bytes, n, kSuperBlockElements, out, decode_q6_k);
    case DType::kMXFP4:
      return decode_blocks<BlockMXFP4>(bytes, n, kBlockElements, out, decode_mxfp4);
    case DType::kFP8:
      return decode_blocks<BlockFP8>(bytes, n, kFp8Elements, out, decode_fp8);
  }
  TENON_CHECK(false, "unknown dtype");
}

std::uint16_t to_bf16(float x) {
  const auto bits = std::bit_cast<std::uint32_t>(x);
  // A NaN stays one (quiet) though its payload may lie in the bits that are cut off.
  if ((bits & 0x7fffffffu) > 0x7f800000u) return static_cast<std::uint16_t>((bits >> 16) | 0x40u);
  return static_cast<std::uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16);
}

float from_bf16(std::uint16_t x) { return std::bit_cast<float>(static_cast<std::uint32_t>(x) << 16); }

std::uint16_t to_f16(float x) {
  const auto bits = std::bit_cast<std::uint32_t>(x);
  const std::uint32_t sign = (bits >> 16) & 0x8000u;
  const std::uint32_t magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) return static_cast<std::uint16_t>(sign | 0x7e00u | ((magnitude >> 13) & 0x3ffu));
  if (magnitude >= 0x477ff000u) return static_cast<std::uint16_t>(sign | 0x7c00u);  // 65520 and more round to infinity
  if (magnitude < 0x38800000u) {
    // Below 2^-14: adding 0.5 aligns the unit of the sum's last place with half's smallest subnormal, 2^-24.
    const float sum = std::bit_cast<float>(magnitude) + 0.5f;
    return static_cast<std::uint16_t>(sign | (std::bit_cast<std::uint32_t>(sum) - 0x3f000000u));
  }
  const std::uint32_t rounded = magnitude + 0xfffu + ((magnitude >> 13) & 1u);
  return static_cast<std::uint16_t>(sign | ((rounded - 0x38000000u) >> 13));
}

float from_f16(std::uint16_t x) {
  const std::uint32_t sign = static_cast<std::uint32_t>(x & 0x8000u) << 16;
  const std::uint32_t magnitude = x & 0x7fffu;
  if (magnitude >= 0x7c00u) return std::bit_cast<float>(sign | 0x7f800000u | ((magnitude & 0x3ffu) << 13));
  if (magnitude < 0x400u) {
    const float value = static_cast<float>(magnitude) * 0x1p-24f;
    return std::bit_cast<float>(sign | std::bit_cast<std::uint32_t>(value));
  }
  return std::bit_cast<float>(sign | ((magnitude << 13) + 0x38000000u));
}

}  // namespace tenon::tensor
