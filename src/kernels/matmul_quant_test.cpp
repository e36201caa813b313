// The quantized matmul of every ISA that this machine has, against float64 sums over tensor::to_float of the weights.
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <memory>
#include <random>
#include <string>
#include <tuple>
#include <vector>

#include "kernels/parts.h"
#include "tensor/blocks.h"
#include "tensor/dtype_test.h"

namespace tenon::kernels {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInf = std::numeric_limits<float>::infinity();
constexpr float kCanary = 77.0f;

struct Isa {
  const char* name;
  const MatmulPart* part;
};

std::vector<Isa> isas() {
  std::vector<Isa> found = {{"portable", &portable_isa::kQuantMatmul}};
  if (avx2() != nullptr) found.push_back({"avx2", &avx2_isa::kQuantMatmul});
  if (avx512() != nullptr) found.push_back({"avx512", &avx512_isa::kQuantMatmul});
  return found;
}
void PrintTo(const Isa& isa, std::ostream* out) { *out << isa.name; }

constexpr DType kDTypes[] = {DType::kQ8_0, DType::kQ4_0, DType::kQ4_1, DType::kQ5_0, DType::kQ5_1,
                             DType::kQ4_K, DType::kQ5_K, DType::kQ6_K, DType::kMXFP4};

/// Where the float16 fields of a block lie: {scale, minimum or -1}.
std::pair<int, int> half_fields(DType dtype) {
  switch (dtype) {
    case DType::kQ4_1:
    case DType::kQ5_1:
    case DType::kQ4_K:
    case DType::kQ5_K:
      return {0, 2};
    case DType::kQ6_K:
      return {208, -1};
    default:
      return {0, -1};
  }
}

/// n rows of GGUF blocks.
struct Weight {
  DType dtype;
  std::int64_t n, k, row_bytes;
  std::vector<std::byte> bytes;
  std::vector<float> values;  ///< [n, k]

  Weight(DType type, std::int64_t rows, std::int64_t columns, unsigned seed = 1)
      : dtype(type), n(rows), k(columns), row_bytes(tensor::bytes_of(type, columns)) {
    bytes.resize(static_cast<std::size_t>(n * row_bytes));
    std::mt19937 random(seed);
    for (std::byte& b : bytes) b = static_cast<std::byte>(random());
    std::uniform_real_distribution<float> scale(-0.02f, 0.02f);
    set_halves([&] { return tensor::to_f16(scale(random)); }, [&] { return tensor::to_f16(scale(random)); });
  }

  template <class Scale, class Minimum>
  void set_halves(Scale scale, Minimum minimum) {
    const auto [scale_at, minimum_at] = half_fields(dtype);
    for (std::size_t b = 0; b < bytes.size(); b += static_cast<std::size_t>(tensor::info(dtype).block_bytes)) {
      const std::uint16_t d = scale();
      if (dtype == DType::kMXFP4) {  // the power of two below |d|
        bytes[b] = static_cast<std::byte>(127 - 15 + (d >> 10 & 31));
        continue;
      }
      std::memcpy(&bytes[b + static_cast<std::size_t>(scale_at)], &d, 2);
      if (minimum_at < 0) continue;
      const std::uint16_t m = minimum();
      std::memcpy(&bytes[b + static_cast<std::size_t>(minimum_at)], &m, 2);
    }
    decode();
  }

  void decode() {
    values.resize(static_cast<std::size_t>(n * k));
    for (std::int64_t i = 0; i < n; ++i)
      tensor::to_float(dtype, bytes.data() + i * row_bytes, k, values.data() + i * k);
  }
};

/// A packed weight, at an odd multiple of 8 bytes: nothing may want more alignment.
struct Packed {
  PackedMatrix matrix;
  std::vector<std::byte> storage;

  Packed(const MatmulPart& part, const Weight& w) {
    matrix = {w.dtype, w.n, w.k, part.panel_bytes(w.dtype, w.k), nullptr};
    storage.resize(static_cast<std::size_t>(matrix.panels() * matrix.panel_bytes) + 72);
    const auto base = reinterpret_cast<std::uintptr_t>(storage.data());
    std::byte* data = storage.data() + ((64 - base % 64) % 64 + 8);
    matrix.data = data;
    for (std::int64_t p = 0; p < matrix.panels(); ++p) {
      const std::byte* rows[kPanel] = {};
      for (std::int64_t c = 0; c < kPanel && p * kPanel + c < w.n; ++c)
        rows[c] = w.bytes.data() + (p * kPanel + c) * w.row_bytes;
      part.pack_panel(w.dtype, w.k, w.dtype, rows, data + p * matrix.panel_bytes);
    }
  }
};

/// m rows of floats, misaligned and with a gap between rows.
struct Rows {
  std::int64_t m, k, ld;
  std::vector<float> storage;

  Rows(std::int64_t rows, std::int64_t columns, unsigned seed = 2) : m(rows), k(columns), ld(columns + 3) {
    storage.assign(static_cast<std::size_t>(m * ld + 1), kNan);
    std::mt19937 random(seed);
    std::normal_distribution<float> normal;
    for (std::int64_t i = 0; i < m; ++i)
      for (std::int64_t j = 0; j < k; ++j) row(i)[j] = normal(random);
  }
  float* row(std::int64_t i) { return storage.data() + 1 + i * ld; }
  const float* row(std::int64_t i) const { return storage.data() + 1 + i * ld; }
};

struct Call {
  Epilogue epilogue = Epilogue::kStore;
  const float* bias = nullptr;
  std::int64_t panel_begin = 0;
  std::int64_t panel_end = -1;  ///< -1: all
  std::int64_t row_begin = 0;
  std::int64_t row_end = -1;
};

/// y as [rows, columns]; asserts that nothing beside it is written. `before` is what y holds before.
std::vector<float> multiply(const MatmulPart& part, const Packed& w, const Rows& x, const Call& call = {},
                            float before = kCanary) {
  const std::int64_t row_end = call.row_end < 0 ? x.m : call.row_end;
  const std::int64_t m = row_end - call.row_begin;
  const bool gated = call.epilogue == Epilogue::kSiluMul || call.epilogue == Epilogue::kGeluTanhMul;
  const std::int64_t columns = gated ? w.matrix.n / 2 : w.matrix.n;
  const std::int64_t ldy = columns + 5;
  const ActivationLayout layout = part.activation_layout(w.matrix.dtype, m, w.matrix.k);
  std::vector<std::byte> activations(static_cast<std::size_t>(layout.bytes()));
  for (std::int64_t b = 0; b < layout.blocks(); ++b)
    part.pack_activations(layout, b, x.row(call.row_begin + b * layout.row_block), x.ld, activations.data());
  std::vector<float> y(static_cast<std::size_t>(m * ldy + 1), kCanary);
  for (std::int64_t i = 0; i < m; ++i) std::fill_n(&y[static_cast<std::size_t>(1 + i * ldy)], columns, before);
  const MatmulTask task = {w.matrix, layout, activations.data(), y.data() + 1, ldy, call.bias, call.epilogue};
  part.matmul(task, call.panel_begin, call.panel_end < 0 ? w.matrix.panels() : call.panel_end);
  EXPECT_EQ(y[0], kCanary);
  std::vector<float> out;
  for (std::int64_t i = 0; i < m; ++i) {
    const float* row = &y[static_cast<std::size_t>(1 + i * ldy)];
    out.insert(out.end(), row, row + columns);
    for (std::int64_t j = columns; j < ldy; ++j) EXPECT_EQ(row[j], kCanary) << "wrote beyond the row";
  }
  return out;
}

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

/// What one output should be, and how far off it may be: by float32 rounding (`tight`), and in all (`loose`) from the
/// product with the unquantized activations, each of which is off by half a step of 1/127 of its block's largest.
struct Want {
  double quantized, tight, exact, loose;
};

Want want(const float* x, const float* w, std::int64_t k) {
  Want sum = {};
  double size = 0;
  for (std::int64_t b = 0; b < k; b += 32) {
    float largest = 0;
    double heaviest = 0;
    for (std::int64_t j = b; j < b + 32; ++j) {
      largest = std::max(largest, std::abs(x[j]));
      heaviest = std::max(heaviest, std::abs(static_cast<double>(w[j])));
    }
    const float step = largest / 127.0f;
    const float inverse = largest > 1e-36f ? 127.0f / largest : 0.0f;  // where it would overflow: zeros
    for (std::int64_t j = b; j < b + 32; ++j) {
      const double q = std::nearbyint(x[j] * inverse);
      sum.quantized += step * q * w[j];
      sum.exact += static_cast<double>(x[j]) * w[j];
      sum.loose += 0.501 * step * std::abs(static_cast<double>(w[j]));
      // scale * code and the minimum are each up to a few times the largest weight.
      size += 4 * step * std::abs(q) * heaviest;
    }
  }
  sum.tight = size * (static_cast<double>(k) / 32 + 8) * 0x1p-24 + 1e-37;
  sum.loose += sum.tight;
  return sum;
}

void expect_near(const std::vector<float>& y, const Rows& x, const Weight& w) {
  for (std::int64_t i = 0; i < x.m; ++i) {
    for (std::int64_t j = 0; j < w.n; ++j) {
      const Want expected = want(x.row(i), &w.values[static_cast<std::size_t>(j * w.k)], w.k);
      const double got = y[static_cast<std::size_t>(i * w.n + j)];
      ASSERT_NEAR(got, expected.quantized, expected.tight) << "row " << i << ", column " << j;
      ASSERT_NEAR(got, expected.exact, expected.loose) << "row " << i << ", column " << j;
    }
  }
}

class QuantMatmul : public testing::TestWithParam<std::tuple<Isa, DType>> {
 protected:
  const MatmulPart& part() const { return *std::get<0>(GetParam()).part; }
  DType dtype() const { return std::get<1>(GetParam()); }
  std::int64_t unit() const { return tensor::info(dtype()).block_elements; }
};

TEST_P(QuantMatmul, MatchesTheReferenceForEveryShape) {
  struct Shape {
    std::int64_t m, n, k;
  };
  std::vector<Shape> shapes;
  for (const std::int64_t m : {1, 2, 3, 5, 7, 8, 9, 15, 16, 17, 33, 64, 200}) shapes.push_back({m, 40, 512});
  for (const std::int64_t n : {1, 31, 33, 96}) shapes.push_back({3, n, 256});
  for (const std::int64_t k : {32, 64, 96, 256, 288, 768, 4096}) {
    if (k % unit() != 0) continue;
    shapes.push_back({1, 33, k});
    shapes.push_back({20, 33, k});
  }
  for (const auto& [m, n, k] : shapes) {
    SCOPED_TRACE(testing::Message() << "m " << m << ", n " << n << ", k " << k);
    const Weight w(dtype(), n, k, static_cast<unsigned>(m + n + k));
    const Rows x(m, k);
    expect_near(multiply(part(), Packed(part(), w), x), x, w);
    if (HasFatalFailure()) return;
  }
}

TEST_P(QuantMatmul, BitsDependNeitherOnTheBatchNorOnTheRange) {
  for (const std::int64_t k : {unit(), 3 * unit(), std::int64_t{2304}}) {
    const Weight w(dtype(), 70, k);
    const Packed packed(part(), w);
    const Rows x(450, k);
    const std::vector<float> all = multiply(part(), packed, x);
    const auto part_of_all = [&](std::int64_t begin, std::int64_t end) {
      return std::vector<float>(all.begin() + begin * w.n, all.begin() + end * w.n);
    };
    for (std::int64_t m = 1; m <= 40; ++m) {
      const std::int64_t begin = m * 7 % 50;
      ASSERT_TRUE(same_bits(multiply(part(), packed, x, {.row_begin = begin, .row_end = begin + m}),
                            part_of_all(begin, begin + m)))
          << "rows " << begin << " to " << begin + m << ", k " << k;
    }
    for (const std::int64_t row : {0, 1, 5, 6, 191, 192, 449}) {
      ASSERT_TRUE(
          same_bits(multiply(part(), packed, x, {.row_begin = row, .row_end = row + 1}), part_of_all(row, row + 1)))
          << "row " << row << ", k " << k;
    }
    for (const std::int64_t m : {1, 9, 450}) {
      for (std::int64_t p = 0; p < packed.matrix.panels(); ++p) {
        const std::vector<float> y = multiply(part(), packed, x, {.panel_begin = p, .panel_end = p + 1, .row_end = m});
        for (std::int64_t i = 0; i < m * w.n; ++i) {
          const bool inside = i % w.n / kPanel == p;
          ASSERT_EQ(std::bit_cast<std::uint32_t>(y[static_cast<std::size_t>(i)]),
                    std::bit_cast<std::uint32_t>(inside ? all[static_cast<std::size_t>(i)] : kCanary))
              << "panel " << p << " alone, element " << i;
        }
      }
    }
  }
}

TEST_P(QuantMatmul, EpiloguesAndBias) {
  const std::int64_t k = 256;
  const Weight w(dtype(), 128, k);
  const Packed packed(part(), w);
  std::vector<float> bias(128);
  for (std::size_t i = 0; i < bias.size(); ++i) bias[i] = 0.25f * static_cast<float>(i % 9) - 1.0f;
  for (const std::int64_t m : {1, 4, 23}) {
    const Rows x(m, k);
    const std::vector<float> plain = multiply(part(), packed, x);
    for (const float* b : {static_cast<const float*>(nullptr), static_cast<const float*>(bias.data())}) {
      const std::vector<float> store = multiply(part(), packed, x, {.bias = b});
      const std::vector<float> add = multiply(part(), packed, x, {.epilogue = Epilogue::kAdd, .bias = b}, 3.5f);
      for (std::size_t i = 0; i < store.size(); ++i) {
        ASSERT_EQ(store[i], b == nullptr ? plain[i] : plain[i] + b[i % 128]);
        ASSERT_EQ(add[i], 3.5f + store[i]);
      }
      const std::vector<float> silu = multiply(part(), packed, x, {.epilogue = Epilogue::kSiluMul, .bias = b});
      const std::vector<float> gelu = multiply(part(), packed, x, {.epilogue = Epilogue::kGeluTanhMul, .bias = b});
      ASSERT_EQ(silu.size(), static_cast<std::size_t>(m * 64));
      for (std::int64_t i = 0; i < m; ++i) {
        for (std::int64_t j = 0; j < 64; ++j) {
          const auto at = static_cast<std::size_t>(i * 128 + j / kPanel * 2 * kPanel + j % kPanel);
          const double gate = store[at];
          const double up = store[at + kPanel];
          const auto out = static_cast<std::size_t>(i * 64 + j);
          ASSERT_NEAR(silu[out], gate / (1 + std::exp(-gate)) * up, 1e-6 * std::abs(gate * up) + 1e-9);
          const double u = std::sqrt(2 / M_PI) * (gate + 0.044715 * gate * gate * gate);
          ASSERT_NEAR(gelu[out], 0.5 * gate * (1 + std::tanh(u)) * up, 2e-6 * std::abs(gate * up) + 1e-9);
        }
      }
      ASSERT_TRUE(
          same_bits(multiply(part(), packed, x,
                             {.epilogue = Epilogue::kSiluMul, .bias = b, .panel_begin = 2, .panel_end = 4}, 0.0f),
                    [&] {
                      std::vector<float> second = silu;
                      for (std::size_t i = 0; i < second.size(); ++i)
                        if (i % 64 < kPanel) second[i] = 0.0f;
                      return second;
                    }()));
    }
  }
}

TEST_P(QuantMatmul, ExtremeCodesAndScales) {
  const std::int64_t k = 512;
  Rows x(14, k);
  for (std::int64_t j = 0; j < k; ++j) {
    x.row(0)[j] = 0.0f;
    x.row(1)[j] = 1.0f;  // every value 127
    x.row(2)[j] = -1.0f;
    x.row(3)[j] *= 1e-39f;  // denormal: all counts as zero
    x.row(4)[j] *= 1e25f;
    x.row(5)[j] = j % 32 == 7 ? 1e-20f : 0.0f;
    x.row(6)[j] = j % 2 == 0 ? 1.0f : -1.0f;
  }
  const std::uint16_t halves[] = {0x0000, 0x8000, 0x0001, 0x03ff, 0x0400, 0x7bff, 0xfbff, 0x3c00};
  for (const int fill : {0x00, 0xff, 0x80, 0x7f, 0x0f, 0xf0}) {
    Weight w(dtype(), 40, k);
    std::fill(w.bytes.begin(), w.bytes.end(), static_cast<std::byte>(fill));
    std::size_t i = 0;
    w.set_halves([&] { return halves[i++ % 8]; }, [&] { return halves[i / 8 % 8]; });
    const Packed packed(part(), w);
    for (const std::int64_t m : {std::int64_t{1}, x.m}) {
      const std::vector<float> y = multiply(part(), packed, x, {.row_end = m});
      for (std::int64_t r = 0; r < m; ++r) {
        for (std::int64_t j = 0; j < w.n; ++j) {
          const Want expected = want(x.row(r), &w.values[static_cast<std::size_t>(j * k)], k);
          const double got = y[static_cast<std::size_t>(r * w.n + j)];
          ASSERT_NEAR(got, expected.quantized, expected.tight) << "fill " << fill << ", row " << r << ", column " << j;
        }
      }
    }
  }
}

TEST_P(QuantMatmul, NonFiniteInputPoisonsItsRowOnly) {
  const Weight w(dtype(), 33, 512);
  const Packed packed(part(), w);
  Rows x(20, 512);
  const std::vector<float> clean = multiply(part(), packed, x);
  x.row(3)[100] = kNan;
  x.row(8)[511] = kInf;
  x.row(13)[0] = -kInf;
  const std::vector<float> y = multiply(part(), packed, x);
  for (std::size_t i = 0; i < y.size(); ++i) {
    const std::size_t row = i / 33;
    if (row == 3 || row == 8 || row == 13) {
      ASSERT_TRUE(std::isnan(y[i])) << i;
    } else {
      ASSERT_EQ(std::bit_cast<std::uint32_t>(y[i]), std::bit_cast<std::uint32_t>(clean[i])) << i;
    }
  }
}

TEST_P(QuantMatmul, EmptyShapes) {
  const Weight w(dtype(), 33, 0);
  const Packed packed(part(), w);
  EXPECT_EQ(multiply(part(), packed, Rows(8, 0)), std::vector<float>(8 * 33, 0.0f));
  EXPECT_EQ(multiply(part(), packed, Rows(1, 0)), std::vector<float>(33, 0.0f));
  const Weight full(dtype(), 33, 512);
  EXPECT_TRUE(multiply(part(), Packed(part(), full), Rows(0, 512)).empty());
}

TEST_P(QuantMatmul, PackedWeightsAreAsSmallAsTheirSource) {
  const std::int64_t source = 32 * tensor::bytes_of(dtype(), 2048);
  EXPECT_GE(part().panel_bytes(dtype(), 2048), source);
  EXPECT_LE(part().panel_bytes(dtype(), 2048), source * 103 / 100);
}

INSTANTIATE_TEST_SUITE_P(Isas, QuantMatmul, testing::Combine(testing::ValuesIn(isas()), testing::ValuesIn(kDTypes)),
                         [](const auto& test) {
                           return std::string(std::get<0>(test.param).name) + "_" +
                                  tensor::name(std::get<1>(test.param));
                         });

class Mxfp4Matmul : public testing::TestWithParam<Isa> {
 protected:
  const MatmulPart& part() const { return *GetParam().part; }
};

// Products that are float32 numbers: each weight alone, times 127.
TEST_P(Mxfp4Matmul, IsExactForEveryCodeAndScale) {
  Weight w(DType::kMXFP4, 256, 32);
  for (std::size_t e = 0; e < 256; ++e) {
    w.bytes[17 * e] = static_cast<std::byte>(e);
    for (unsigned j = 0; j < 16; ++j) w.bytes[17 * e + 1 + j] = static_cast<std::byte>(j | (15 - j) << 4);
  }
  w.decode();
  Rows x(32, 32);
  for (std::int64_t i = 0; i < 32; ++i)
    for (std::int64_t j = 0; j < 32; ++j) x.row(i)[j] = i == j ? 127.0f : 0.0f;
  const std::vector<float> y = multiply(part(), Packed(part(), w), x);
  for (std::size_t i = 0; i < 32; ++i) {
    for (std::size_t e = 0; e < 255; ++e) ASSERT_EQ(y[256 * i + e], 127.0f * w.values[32 * e + i]) << e << ", " << i;
    ASSERT_TRUE(std::isnan(y[256 * i + 255])) << i;
  }
}

// Q5_0 holds MXFP4's values too, where half the scale is a float16: the same integers, summed in the same order.
TEST_P(Mxfp4Matmul, GivesTheBitsOfQ5_0) {
  const std::int64_t k = 768;
  const Weight w(DType::kMXFP4, 70, k);
  Weight same(DType::kQ5_0, 70, k);
  for (std::size_t b = 0; b < w.bytes.size() / 17; ++b) {
    tensor::BlockMXFP4 from;
    tensor::BlockQ5_0 to = {};
    std::memcpy(&from, &w.bytes[17 * b], sizeof from);
    to.d = tensor::to_f16(std::ldexp(1.0f, from.e - 128));
    std::uint32_t high = 0;
    for (int i = 0; i < 32; ++i) {
      const unsigned code = static_cast<unsigned>(tensor::kE2M1Doubled[from.qs[i % 16] >> (i / 16 * 4) & 15] + 16);
      to.qs[i % 16] = static_cast<std::uint8_t>(to.qs[i % 16] | (code & 15) << (i / 16 * 4));
      high |= (code >> 4) << i;
    }
    std::memcpy(to.qh, &high, sizeof high);
    std::memcpy(&same.bytes[22 * b], &to, sizeof to);
  }
  same.decode();
  ASSERT_EQ(same.values, w.values);
  for (const std::int64_t m : {1, 3, 23}) {
    const Rows x(m, k);
    EXPECT_TRUE(same_bits(multiply(part(), Packed(part(), w), x), multiply(part(), Packed(part(), same), x))) << m;
  }
}

INSTANTIATE_TEST_SUITE_P(Isas, Mxfp4Matmul, testing::ValuesIn(isas()),
                         [](const auto& test) { return std::string(test.param.name); });

// The two vector ISAs do the same operations in the same order.
TEST(QuantMatmulIsas, Avx2AndAvx512GiveTheSameBits) {
  if (avx512() == nullptr) GTEST_SKIP() << "skipped: no AVX-512 on this machine";
  for (const DType dtype : kDTypes) {
    const Weight w(dtype, 70, 768);
    const Rows x(23, 768);
    EXPECT_TRUE(same_bits(multiply(avx2_isa::kQuantMatmul, Packed(avx2_isa::kQuantMatmul, w), x),
                          multiply(avx512_isa::kQuantMatmul, Packed(avx512_isa::kQuantMatmul, w), x)))
        << tensor::name(dtype);
  }
}

TEST(QuantMatmulPacking, RefusesWhatItCannotPack) {
  const MatmulPart& part = portable_isa::kQuantMatmul;
  EXPECT_DEATH(part.panel_bytes(DType::kF16, 64), "F16");
  EXPECT_DEATH(part.panel_bytes(DType::kQ4_K, 128), "multiple");
  const std::byte* rows[kPanel] = {};
  EXPECT_DEATH(part.pack_panel(DType::kQ4_0, 32, DType::kF32, rows, nullptr), "own format");
}

}  // namespace
}  // namespace tenon::kernels
