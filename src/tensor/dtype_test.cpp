#include "tensor/dtype.h"

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <random>
#include <vector>

#include "tensor/blocks.h"
#include "tensor/dtype_reference.h"

namespace tenon::tensor {
namespace {

constexpr DType kAll[] = {DType::kF64,  DType::kF32,  DType::kF16,   DType::kBF16, DType::kF8E4M3, DType::kF8E5M2,
                          DType::kI64,  DType::kI32,  DType::kI16,   DType::kI8,   DType::kU8,     DType::kBool,
                          DType::kQ4_0, DType::kQ4_1, DType::kQ5_0,  DType::kQ5_1, DType::kQ8_0,   DType::kQ4_K,
                          DType::kQ5_K, DType::kQ6_K, DType::kMXFP4, DType::kFP8};

// The value of an IEEE-like format with `exponent_bits` and `mantissa_bits`, from the definition, in double.
double ieee_value(unsigned bits, int exponent_bits, int mantissa_bits) {
  const int bias = (1 << (exponent_bits - 1)) - 1;
  const unsigned mantissa = bits & ((1u << mantissa_bits) - 1);
  const int exponent = static_cast<int>((bits >> mantissa_bits) & ((1u << exponent_bits) - 1));
  const double sign = (bits >> (exponent_bits + mantissa_bits)) & 1 ? -1.0 : 1.0;
  if (exponent == (1 << exponent_bits) - 1) {
    return mantissa != 0 ? std::numeric_limits<double>::quiet_NaN() : sign * std::numeric_limits<double>::infinity();
  }
  const double fraction = mantissa * std::pow(2.0, -mantissa_bits);
  return sign * (exponent == 0 ? fraction * std::pow(2.0, 1 - bias) : (1 + fraction) * std::pow(2.0, exponent - bias));
}

TEST(Dtype, NamesRoundTrip) {
  for (const DType dtype : kAll) {
    EXPECT_EQ(dtype_from_name(name(dtype)), dtype);
    EXPECT_GT(info(dtype).block_bytes, 0);
    EXPECT_EQ(info(dtype).quantized, info(dtype).block_elements > 1);
  }
  EXPECT_STREQ(name(DType::kF8E4M3), "F8_E4M3");
  EXPECT_STREQ(name(DType::kQ6_K), "Q6_K");
  EXPECT_EQ(dtype_from_name("Q3_K"), std::nullopt);
  EXPECT_EQ(dtype_from_name(""), std::nullopt);
}

TEST(Dtype, Bytes) {
  EXPECT_EQ(bytes_of(DType::kF64, 3), 24);
  EXPECT_EQ(bytes_of(DType::kBF16, 5), 10);
  EXPECT_EQ(bytes_of(DType::kQ4_0, 64), 36);
  EXPECT_EQ(bytes_of(DType::kQ6_K, 512), 420);
  EXPECT_EQ(bytes_of(DType::kMXFP4, 64), 34);
  EXPECT_EQ(bytes_of(DType::kF32, 0), 0);
  EXPECT_EQ(bytes_of(DType::kF32, std::numeric_limits<std::int64_t>::max()), std::numeric_limits<std::int64_t>::max());
}

TEST(Dtype, F16WidensEveryValueAndRoundTrips) {
  for (unsigned bits = 0; bits < 65536; ++bits) {
    const float got = from_f16(static_cast<std::uint16_t>(bits));
    const double want = ieee_value(bits, 5, 10);
    if (std::isnan(want)) {
      EXPECT_TRUE(std::isnan(got)) << bits;
      EXPECT_TRUE(std::isnan(from_f16(to_f16(got)))) << bits;
      continue;
    }
    ASSERT_EQ(static_cast<double>(got), want) << bits;
    ASSERT_EQ(std::signbit(got), std::signbit(want)) << bits;
    ASSERT_EQ(to_f16(got), bits);
  }
}

TEST(Dtype, Bf16WidensEveryValueAndRoundTrips) {
  for (unsigned bits = 0; bits < 65536; ++bits) {
    const float got = from_bf16(static_cast<std::uint16_t>(bits));
    const double want = ieee_value(bits, 8, 7);
    if (std::isnan(want)) {
      EXPECT_TRUE(std::isnan(got)) << bits;
      EXPECT_TRUE(std::isnan(from_bf16(to_bf16(got)))) << bits;
      continue;
    }
    ASSERT_EQ(static_cast<double>(got), want) << bits;
    ASSERT_EQ(to_bf16(got), bits);
  }
}

// Between each two neighbours of the small format: the midpoint goes to the even one, either side of it to the nearer.
void expect_nearest_even(std::uint16_t (*narrow)(float), float (*widen)(std::uint16_t), unsigned infinity) {
  for (unsigned bits = 0; bits + 1 < infinity; ++bits) {
    const float low = widen(static_cast<std::uint16_t>(bits));
    const float high = widen(static_cast<std::uint16_t>(bits + 1));
    const float middle = static_cast<float>((static_cast<double>(low) + static_cast<double>(high)) / 2);
    const unsigned even = bits % 2 == 0 ? bits : bits + 1;
    ASSERT_EQ(narrow(middle), even) << bits;
    ASSERT_EQ(narrow(-middle), even | 0x8000u) << bits;
    ASSERT_EQ(narrow(std::nextafter(middle, 0.0f)), bits);
    ASSERT_EQ(narrow(std::nextafter(middle, high)), bits + 1);
  }
}

TEST(Dtype, F16RoundsToNearestEven) {
  expect_nearest_even(to_f16, from_f16, 0x7c00);
  EXPECT_EQ(to_f16(65519.996f), 0x7bff);
  EXPECT_EQ(to_f16(65520.0f), 0x7c00);
  EXPECT_EQ(to_f16(-1e30f), 0xfc00);
  EXPECT_EQ(to_f16(-std::numeric_limits<float>::infinity()), 0xfc00);
  EXPECT_EQ(to_f16(1e-30f), 0);
  EXPECT_EQ(to_f16(-0.0f), 0x8000);
}

TEST(Dtype, Bf16RoundsToNearestEven) {
  expect_nearest_even(to_bf16, from_bf16, 0x7f80);
  EXPECT_EQ(to_bf16(std::numeric_limits<float>::max()), 0x7f80);
  EXPECT_EQ(to_bf16(-std::numeric_limits<float>::infinity()), 0xff80);
  EXPECT_EQ(to_bf16(-0.0f), 0x8000);
}

TEST(Dtype, NansStayNans) {
  for (const std::uint32_t bits : {0x7f800001u, 0xff800001u, 0x7fffffffu, 0x7fc00000u, 0x7f80ffffu}) {
    const float nan = std::bit_cast<float>(bits);
    EXPECT_TRUE(std::isnan(from_bf16(to_bf16(nan)))) << bits;
    EXPECT_TRUE(std::isnan(from_f16(to_f16(nan)))) << bits;
  }
}

TEST(Dtype, Float8) {
  for (unsigned bits = 0; bits < 256; ++bits) {
    const auto byte = static_cast<std::uint8_t>(bits);
    float e4m3 = 0, e5m2 = 0;
    to_float(DType::kF8E4M3, &byte, 1, &e4m3);
    to_float(DType::kF8E5M2, &byte, 1, &e5m2);
    const double want = ieee_value(bits, 5, 2);
    if (std::isnan(want)) {
      EXPECT_TRUE(std::isnan(e5m2));
    } else {
      EXPECT_EQ(static_cast<double>(e5m2), want);
    }
    if ((bits & 0x7f) == 0x7f) {
      EXPECT_TRUE(std::isnan(e4m3));
    } else if ((bits & 0x78) == 0x78) {
      // Where an IEEE format has infinity and NaNs, this one has the numbers 256 … 448.
      EXPECT_EQ(e4m3, (bits & 0x80 ? -1.0f : 1.0f) * 256.0f * (1.0f + static_cast<float>(bits & 7) / 8.0f));
    } else {
      EXPECT_EQ(static_cast<double>(e4m3), ieee_value(bits, 4, 3));
    }
  }
}

template <class T>
void expect_widened(DType dtype, std::initializer_list<T> values) {
  for (const T value : values) {
    std::byte bytes[1 + sizeof(T)];
    std::memcpy(bytes + 1, &value, sizeof(T));  // misaligned, as in a mapped file
    float out = 0;
    to_float(dtype, bytes + 1, 1, &out);
    EXPECT_EQ(out, static_cast<float>(value)) << name(dtype);
  }
}

TEST(Dtype, PlainElementsWiden) {
  expect_widened<double>(DType::kF64, {0.1, -1e300, 3.0});
  expect_widened<float>(DType::kF32, {0.1f, -1e30f, 3.0f});
  expect_widened<std::int64_t>(DType::kI64, {-5, std::int64_t{1} << 40});
  expect_widened<std::int32_t>(DType::kI32, {-5, 123456789});
  expect_widened<std::int16_t>(DType::kI16, {-32768, 5});
  expect_widened<std::int8_t>(DType::kI8, {-128, 127});
  expect_widened<std::uint8_t>(DType::kU8, {0, 255});
  expect_widened<std::uint8_t>(DType::kBool, {0, 1, 1});
}

TEST(Dtype, QuantizedBlocksAsTheReference) {
  for (const ReferenceBlock& reference : kReferenceBlocks) {
    SCOPED_TRACE(name(reference.dtype));
    const DTypeInfo& type = info(reference.dtype);
    ASSERT_EQ(reference.bytes.size(), static_cast<std::size_t>(type.block_bytes));
    ASSERT_EQ(reference.values.size(), static_cast<std::size_t>(type.block_elements));
    // Two blocks at an odd address.
    std::vector<std::uint8_t> row(1);
    for (int copy = 0; copy < 2; ++copy) row.insert(row.end(), reference.bytes.begin(), reference.bytes.end());
    std::vector<float> out(2 * reference.values.size());
    to_float(reference.dtype, row.data() + 1, static_cast<std::int64_t>(out.size()), out.data());
    for (std::size_t i = 0; i < out.size(); ++i) {
      const std::uint32_t want = reference.values.begin()[i % reference.values.size()];
      ASSERT_EQ(std::bit_cast<std::uint32_t>(out[i]), want) << i;
    }
  }
}

// Blocks worked out by hand, so that the layout does not rest on the table alone.
TEST(Dtype, QuantizedBlocksByHand) {
  BlockQ4_0 q4{.d = to_f16(0.5f), .qs = {}};
  q4.qs[3] = 0xf2;  // element 3: 2 - 8, element 19: 15 - 8
  float out[256];
  to_float(DType::kQ4_0, &q4, 32, out);
  EXPECT_EQ(out[3], -3.0f);
  EXPECT_EQ(out[19], 3.5f);
  EXPECT_EQ(out[0], -4.0f);

  BlockQ5_1 q5{.d = to_f16(2.0f), .m = to_f16(-1.0f), .qh = {}, .qs = {}};
  q5.qs[1] = 0x31;
  q5.qh[2] = 0x02;  // bit 17: element 17 = 3 + 16
  to_float(DType::kQ5_1, &q5, 32, out);
  EXPECT_EQ(out[1], 1.0f);
  EXPECT_EQ(out[17], 37.0f);

  BlockQ4_K k4{.d = to_f16(1.0f), .dmin = to_f16(0.5f), .scales = {}, .qs = {}};
  k4.scales[1] = 0xc0 | 5;   // scale 1 = 5; upper bits of scale 5 = 3
  k4.scales[9] = 0x72;       // scale 5 = 3 << 4 | 2 = 50; min 5 low bits 7
  k4.scales[5] = 0x40 | 11;  // min 1 = 11; upper bits of min 5 = 1: 23
  k4.qs[32 * 2 + 4] = 0x60;  // group 5, element 4: 6
  k4.qs[7] = 0x90;           // group 1, element 7: 9
  to_float(DType::kQ4_K, &k4, 256, out);
  EXPECT_EQ(out[32 * 5 + 4], 50.0f * 6.0f - 0.5f * 23.0f);
  EXPECT_EQ(out[32 * 1 + 7], 5.0f * 9.0f - 0.5f * 11.0f);

  BlockQ6_K k6{.ql = {}, .qh = {}, .scales = {}, .d = to_f16(0.25f)};
  k6.ql[64 + 32 + 5] = 0xa0;  // half 1, group 3 (odd, high nibble), element 5: 10
  k6.qh[32 + 5] = 0x80;       // its upper bits 2: 10 + 32 - 32
  k6.scales[8 + 6] = -3;      // elements 224 … 239
  to_float(DType::kQ6_K, &k6, 256, out);
  EXPECT_EQ(out[128 + 96 + 5], 0.25f * -3.0f * 10.0f);
}

// E2M1 and E8M0 by their definitions, which have subnormal values of both.
TEST(Dtype, Mxfp4OfEveryCodeAndScale) {
  for (int e = 0; e < 256; ++e) {
    BlockMXFP4 block{.e = static_cast<std::uint8_t>(e), .qs = {}};
    for (unsigned j = 0; j < 16; ++j) block.qs[j] = static_cast<std::uint8_t>(j | (15 - j) << 4);
    float out[32];
    to_float(DType::kMXFP4, &block, 32, out);
    for (unsigned i = 0; i < 32; ++i) {
      const unsigned code = i < 16 ? i : 31 - i;
      const double e2m1 = (code & 8 ? -1 : 1) *
                          (code & 6 ? (1 + (code & 1) / 2.0) * std::exp2((code >> 1 & 3) - 1.0) : (code & 1) / 2.0);
      if (e == 255) {
        ASSERT_TRUE(std::isnan(out[i])) << i;
      } else {
        ASSERT_EQ(out[i], static_cast<float>(e2m1 * std::exp2(e - 127))) << e << ", code " << code;
      }
    }
  }
}

TEST(Dtype, Fp8IsTheCodesTimesTheScale) {
  for (const float d : {1.0f, -0.0173f, 3e-38f}) {
    for (int first = 0; first < 256; first += kFp8Elements) {
      BlockFP8 block{.d = d, .qs = {}};
      for (int i = 0; i < kFp8Elements; ++i) block.qs[i] = static_cast<std::uint8_t>(first + i);
      float out[kFp8Elements];
      to_float(DType::kFP8, &block, kFp8Elements, out);
      for (int i = 0; i < kFp8Elements; ++i) {
        float code;
        to_float(DType::kF8E4M3, &block.qs[i], 1, &code);
        if (std::isnan(code)) {
          ASSERT_TRUE(std::isnan(out[i]));
        } else {
          ASSERT_EQ(out[i], code * d) << first + i;
        }
      }
    }
  }
}

}  // namespace
}  // namespace tenon::tensor
