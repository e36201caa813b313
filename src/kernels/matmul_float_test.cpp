// The float matmul of every ISA against float64, and against itself row by row, bit by bit.
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <tuple>

#include "kernels/matmul_float_test.h"
#include "tensor/blocks.h"
#include "tensor/dtype_test.h"

namespace tenon::kernels {
namespace {

using namespace test;

class FloatMatmulTest : public ::testing::TestWithParam<std::tuple<int, DType>> {
 protected:
  void SetUp() override {
    const auto all = isas();
    const auto index = static_cast<std::size_t>(std::get<0>(GetParam()));
    if (index >= all.size()) GTEST_SKIP() << "skipped: this machine cannot run the ISA";
    part_ = all[index].part;
  }
  const MatmulPart* part_ = nullptr;
  const DType dtype_ = std::get<1>(GetParam());
};

std::string name_of(const ::testing::TestParamInfo<std::tuple<int, DType>>& test) {
  static constexpr const char* kNames[] = {"portable", "avx2", "avx512"};
  return std::string(kNames[std::get<0>(test.param)]) + "_" + tensor::name(std::get<1>(test.param));
}

INSTANTIATE_TEST_SUITE_P(Isas, FloatMatmulTest,
                         ::testing::Combine(::testing::Range(0, 3), ::testing::Values(DType::kF32, DType::kBF16)),
                         name_of);

/// The declared bound of one sum: a few roundings of the sum of magnitudes.
constexpr double kBound = 0x1p-22;

struct Sum {
  double value = 0;
  double error = 0;  ///< allowed
};

Sum reference(DType dtype, const float* x, const float* w, std::int64_t k, double bias, double added) {
  double magnitude = std::fabs(bias) + std::fabs(added);
  Sum sum{.value = bias + added};
  for (std::int64_t i = 0; i < k; ++i) {
    const double product = static_cast<double>(round_to(dtype, x[i])) * static_cast<double>(round_to(dtype, w[i]));
    sum.value += product;
    magnitude += std::fabs(product);
  }
  sum.error = kBound * magnitude;
  return sum;
}

TEST_P(FloatMatmulTest, AgreesWithFloat64) {
  struct Shape {
    std::int64_t m, n, k;
  };
  for (const auto& [m, n, k] : {Shape{1, 1, 1},
                                {1, 33, 31},
                                {2, 96, 100},
                                {3, 100, 2047},
                                {5, 64, 2048},
                                {13, 31, 2049},
                                {17, 33, 5000},
                                {40, 65, 4097},
                                {200, 32, 300}}) {
    for (const auto epilogue : {Epilogue::kStore, Epilogue::kAdd}) {
      for (const bool with_bias : {false, true}) {
        const std::int64_t ldx = k + 3, ldy = n + 5;
        // x and y start 4 bytes off any vector's alignment.
        const auto x = random_floats(static_cast<std::size_t>(m * ldx + 1), 1);
        const auto w = random_floats(static_cast<std::size_t>(n * k), 2);
        const auto bias = random_floats(static_cast<std::size_t>(n), 3);
        const auto before = random_floats(static_cast<std::size_t>(m * ldy + 1), 4);
        auto y = before;
        const Weight weight(*part_, dtype_, dtype_, Stored(dtype_, w).bytes, n, k);
        multiply(*part_, weight.matrix, x.data() + 1, m, ldx, y.data() + 1, ldy,
                 {.epilogue = epilogue, .bias = with_bias ? bias.data() : nullptr});
        for (std::int64_t i = 0; i < m; ++i) {
          for (std::int64_t j = 0; j < ldy; ++j) {
            const auto at = static_cast<std::size_t>(1 + i * ldy + j);
            if (j >= n) {
              ASSERT_EQ(y[at], before[at]) << "wrote beyond column " << n;
              continue;
            }
            const Sum want = reference(dtype_, x.data() + 1 + i * ldx, w.data() + j * k, k,
                                       with_bias ? static_cast<double>(bias[static_cast<std::size_t>(j)]) : 0.0,
                                       epilogue == Epilogue::kAdd ? static_cast<double>(before[at]) : 0.0);
            ASSERT_NEAR(static_cast<double>(y[at]), want.value, want.error)
                << "m " << m << " n " << n << " k " << k << " at " << i << ", " << j;
          }
        }
      }
    }
  }
}

TEST_P(FloatMatmulTest, GatedEpiloguesAgreeWithFloat64) {
  struct Shape {
    std::int64_t m, n, k;
  };
  for (const auto& [m, n, k] : {Shape{1, 64, 100}, {7, 128, 2049}, {30, 192, 301}, {230, 64, 130}}) {
    for (const auto epilogue : {Epilogue::kSiluMul, Epilogue::kGeluTanhMul}) {
      for (const bool with_bias : {false, true}) {
        const std::int64_t ldy = n / 2 + 1;
        auto x = random_floats(static_cast<std::size_t>(m * k), 1);
        for (float& v : x) v /= std::sqrt(static_cast<float>(k));
        const auto w = random_floats(static_cast<std::size_t>(n * k), 2);
        const auto bias = random_floats(static_cast<std::size_t>(n), 3);
        std::vector<float> y(static_cast<std::size_t>(m * ldy), 7.0f);
        const Weight weight(*part_, dtype_, dtype_, Stored(dtype_, w).bytes, n, k);
        multiply(*part_, weight.matrix, x.data(), m, k, y.data(), ldy,
                 {.epilogue = epilogue, .bias = with_bias ? bias.data() : nullptr, .panels_a_call = 2});
        for (std::int64_t i = 0; i < m; ++i) {
          for (std::int64_t j = 0; j < n / 2; ++j) {
            const std::int64_t column = j / kPanel * 2 * kPanel + j % kPanel;
            const auto sum = [&](std::int64_t c) {
              return reference(dtype_, x.data() + i * k, w.data() + c * k, k,
                               with_bias ? static_cast<double>(bias[static_cast<std::size_t>(c)]) : 0.0, 0.0);
            };
            const Sum gate = sum(column), up = sum(column + kPanel);
            const double u = std::sqrt(2 / M_PI) * (gate.value + 0.044715 * std::pow(gate.value, 3));
            const double activation = epilogue == Epilogue::kSiluMul ? gate.value / (1 + std::exp(-gate.value))
                                                                     : 0.5 * gate.value * (1 + std::tanh(u));
            const double want = activation * up.value;
            // Both activations have slopes within 1.13.
            const double error = 1.13 * gate.error * (std::fabs(up.value) + up.error) +
                                 (std::fabs(activation) + 1e-7) * (up.error + 1e-6 * std::fabs(up.value));
            ASSERT_NEAR(static_cast<double>(y[static_cast<std::size_t>(i * ldy + j)]), want, error)
                << "m " << m << " n " << n << " k " << k << " at " << i << ", " << j;
          }
          ASSERT_EQ(y[static_cast<std::size_t>(i * ldy + n / 2)], 7.0f);
        }
      }
    }
  }
}

TEST_P(FloatMatmulTest, RowsHaveTheSameBitsAloneAndInAnyBatch) {
  for (const auto& [n, k] : {std::pair<std::int64_t, std::int64_t>{33, 31}, {96, 100}, {100, 2048}, {64, 5000}}) {
    constexpr std::int64_t kMost = 512;
    const auto x = random_floats(static_cast<std::size_t>(kMost * k), 1);
    const auto w = random_floats(static_cast<std::size_t>(n * k), 2);
    const auto bias = random_floats(static_cast<std::size_t>(n), 3);
    const Weight weight(*part_, dtype_, dtype_, Stored(dtype_, w).bytes, n, k);
    for (const auto epilogue : {Epilogue::kStore, Epilogue::kAdd, Epilogue::kSiluMul}) {
      if (epilogue == Epilogue::kSiluMul && n % (2 * kPanel) != 0) continue;
      const std::int64_t columns = epilogue == Epilogue::kSiluMul ? n / 2 : n;
      const auto start = random_floats(static_cast<std::size_t>(kMost * columns), 4);
      const Call call{.epilogue = epilogue, .bias = bias.data()};
      auto alone = start;
      // Portable is slow: it is measured on fewer rows.
      const std::int64_t most = part_ == &portable_isa::kFloatMatmul ? 64 : kMost;
      for (std::int64_t i = 0; i < most; ++i) {
        multiply(*part_, weight.matrix, x.data() + i * k, 1, k, alone.data() + i * columns, columns, call);
      }
      for (const std::int64_t m : {1, 2, 3, 5, 8, 13, 17, 32, 64, 100, 512}) {
        if (m > most) continue;
        for (const std::int64_t first : {std::int64_t{0}, std::min<std::int64_t>(most - m, 7)}) {
          auto y = start;
          Call part_call = call;
          if (first > 0) part_call.panels_a_call = 2;
          multiply(*part_, weight.matrix, x.data() + first * k, m, k, y.data() + first * columns, columns, part_call);
          ASSERT_EQ(0, std::memcmp(y.data() + first * columns, alone.data() + first * columns,
                                   static_cast<std::size_t>(m * columns) * sizeof(float)))
              << "m " << m << " n " << n << " k " << k << " first row " << first;
        }
      }
    }
  }
}

/// What pack_panel's layout holds at (row, k).
float packed_at(DType dtype, const std::byte* panel, int row, std::int64_t k) {
  if (dtype == DType::kF32) {
    float x;
    std::memcpy(&x, panel + (k * kPanel + row) * 4, 4);
    return x;
  }
  std::uint16_t x;
  std::memcpy(&x, panel + (k / 2 * kPanel + row) * 4 + k % 2 * 2, 2);
  return tensor::from_bf16(x);
}

TEST_P(FloatMatmulTest, PacksRowsOfAnyDType) {
  for (const DType src : {DType::kF32, DType::kF16, DType::kBF16, DType::kQ8_0, DType::kQ4_0, DType::kQ4_K}) {
    const std::int64_t block = tensor::info(src).block_elements;
    for (std::int64_t k : {1, 2, 15, 31, 33, 100, 256, 513, 1024}) {
      k = (k + block - 1) / block * block;
      const std::int64_t row_bytes = tensor::bytes_of(src, k);
      Bytes stored(static_cast<std::size_t>(row_bytes * kPanel + 1));
      std::byte* first = stored.data() + 1;  // at no alignment
      std::mt19937 rng(5);
      if (!tensor::info(src).quantized) {
        const auto w = random_floats(static_cast<std::size_t>(k * kPanel), 6);
        std::memcpy(first, Stored(src, w).bytes.data(), static_cast<std::size_t>(row_bytes * kPanel));
      } else {
        // Any bytes below 0x70 are quantized blocks with finite scales.
        for (std::byte& b : stored) b = static_cast<std::byte>(rng() % 0x70);
      }
      const std::byte* rows[kPanel];
      for (int i = 0; i < kPanel; ++i) rows[i] = i == 3 ? nullptr : first + i * row_bytes;
      const std::int64_t panel_bytes = part_->panel_bytes(dtype_, k);
      Bytes panel(static_cast<std::size_t>(panel_bytes) + 128, std::byte{0x55});
      for (const int shift : {0, 4}) {  // with and without the alignment that streaming stores need
        std::byte* out = panel.data() + (64 - reinterpret_cast<std::uintptr_t>(panel.data()) % 64) % 64 + shift;
        part_->pack_panel(dtype_, k, src, rows, out);
        std::vector<float> want(static_cast<std::size_t>(k));
        for (int i = 0; i < kPanel; ++i) {
          if (rows[i] != nullptr) tensor::to_float(src, rows[i], k, want.data());
          for (std::int64_t j = 0; j < k; ++j) {
            const float expected = rows[i] == nullptr ? 0.0f : round_to(dtype_, want[static_cast<std::size_t>(j)]);
            ASSERT_EQ(packed_at(dtype_, out, i, j), expected)
                << tensor::name(src) << " k " << k << " row " << i << " at " << j;
          }
          if (dtype_ == DType::kBF16 && k % 2 == 1) {
            ASSERT_EQ(packed_at(dtype_, out, i, k), 0.0f) << "padding";
          }
        }
        ASSERT_EQ(out[panel_bytes], std::byte{0x55}) << "wrote beyond the panel";
      }
    }
  }
}

TEST_P(FloatMatmulTest, CarriesInfinityAndNanToTheirRowsOnly) {
  constexpr std::int64_t kM = 4, kN = 33, kK = 40;
  auto x = random_floats(kM * kK, 1);
  x[1 * kK + 7] = INFINITY;
  x[2 * kK + 39] = NAN;
  const std::vector<float> w(kN * kK, 1.0f);
  const Weight weight(*part_, dtype_, dtype_, Stored(dtype_, w).bytes, kN, kK);
  std::vector<float> y(kM * kN);
  multiply(*part_, weight.matrix, x.data(), kM, kK, y.data(), kN);
  for (std::int64_t j = 0; j < kN; ++j) {
    const auto column = static_cast<std::size_t>(j);
    EXPECT_TRUE(std::isfinite(y[column]));
    EXPECT_EQ(y[kN + column], INFINITY);
    EXPECT_TRUE(std::isnan(y[2 * kN + column]));
    EXPECT_TRUE(std::isfinite(y[3 * kN + column]));
  }
}

TEST_P(FloatMatmulTest, AnEmptySumIsTheBias) {
  const Weight weight(*part_, dtype_, dtype_, {}, 3, 0);
  const std::vector<float> bias = {1, 2, 3};
  std::vector<float> y(3, 9.0f);
  multiply(*part_, weight.matrix, nullptr, 1, 0, y.data(), 3, {.bias = bias.data()});
  EXPECT_EQ(y, bias);
}

/// Rows of FP8, off by one byte, and the same weights as floats.
struct Fp8Rows {
  Fp8Rows(std::int64_t n, std::int64_t k, unsigned seed)
      : bytes(static_cast<std::size_t>(tensor::bytes_of(DType::kFP8, n * k)) + 1) {
    std::mt19937 rng(seed);
    for (std::size_t at = 1; at < bytes.size(); at += sizeof(tensor::BlockFP8)) {
      tensor::BlockFP8 block{.d = 1e-3f * static_cast<float>(1 + rng() % 100), .qs = {}};
      if (rng() % 16 == 0) block.d = -block.d;
      for (std::uint8_t& q : block.qs) {
        do q = static_cast<std::uint8_t>(rng());
        while ((q & 0x7f) == 0x7f);  // NaN
      }
      std::memcpy(bytes.data() + at, &block, sizeof block);
    }
    floats.resize(static_cast<std::size_t>(n * k));
    tensor::to_float(DType::kFP8, bytes.data() + 1, n * k, floats.data());
    bytes.erase(bytes.begin());
  }
  Bytes bytes;
  std::vector<float> floats;
};

class Fp8Matmul : public ::testing::TestWithParam<Isa> {};
INSTANTIATE_TEST_SUITE_P(Isas, Fp8Matmul, ::testing::ValuesIn(isas()),
                         [](const auto& test) { return test.param.name; });

// FP8 is widened to what its weights are as floats, and summed in the same order: the float32 kernel, which is compared
// with float64 above, gives the same bits.
TEST_P(Fp8Matmul, GivesTheBitsOfFloat32) {
  const MatmulPart& part = *GetParam().part;
  for (const auto& [n, k] :
       {std::pair<std::int64_t, std::int64_t>{1, 128}, {33, 256}, {64, 2048}, {100, 2176}, {64, 4992}}) {
    const Fp8Rows w(n, k, 1);
    const Weight fp8(part, DType::kFP8, DType::kFP8, w.bytes, n, k);
    const Weight f32(part, DType::kF32, DType::kF32, Stored(DType::kF32, w.floats).bytes, n, k);
    const auto bias = random_floats(static_cast<std::size_t>(n), 2);
    for (const std::int64_t m : {1, 2, 3, 7, 13, 31, 64, 250}) {
      if (m > 13 && &part == &portable_isa::kFloatMatmul) continue;
      const auto x = random_floats(static_cast<std::size_t>(m * k), 3);
      for (const auto epilogue : {Epilogue::kStore, Epilogue::kAdd, Epilogue::kSiluMul}) {
        if (epilogue == Epilogue::kSiluMul && n % (2 * kPanel) != 0) continue;
        auto y = random_floats(static_cast<std::size_t>(m * n), 4), want = y;
        const Call call{.epilogue = epilogue, .bias = bias.data()};
        multiply(part, fp8.matrix, x.data(), m, k, y.data(), n, call);
        multiply(part, f32.matrix, x.data(), m, k, want.data(), n, call);
        ASSERT_EQ(0, std::memcmp(y.data(), want.data(), y.size() * sizeof(float))) << m << " x " << n << " x " << k;
      }
    }
  }
}

TEST_P(Fp8Matmul, IsExactForEveryCodeAndCarriesNan) {
  const MatmulPart& part = *GetParam().part;
  for (int code = 0; code < 256; ++code) {
    tensor::BlockFP8 block{.d = 3e-4f, .qs = {}};
    block.qs[5] = static_cast<std::uint8_t>(code);
    Bytes row(sizeof block);
    std::memcpy(row.data(), &block, sizeof block);
    const Weight w(part, DType::kFP8, DType::kFP8, row, 1, tensor::kFp8Elements);
    std::vector<float> x(tensor::kFp8Elements, 0.0f), want(tensor::kFp8Elements);
    x[5] = 1.0f;
    tensor::to_float(DType::kFP8, &block, tensor::kFp8Elements, want.data());
    float y = 0;
    multiply(part, w.matrix, x.data(), 1, tensor::kFp8Elements, &y, 1);
    if (std::isnan(want[5])) {
      EXPECT_TRUE(std::isnan(y)) << code;
    } else {
      EXPECT_EQ(y, want[5]) << code;
    }
  }
}

TEST(FloatMatmul, Avx2AndAvx512AgreeInEveryBitOfFloat32) {
  if (avx512() == nullptr) GTEST_SKIP() << "skipped: this machine has no AVX-512";
  constexpr std::int64_t kM = 9, kN = 70, kK = 2500;
  const auto x = random_floats(kM * kK, 1);
  const auto w = random_floats(kN * kK, 2);
  std::vector<float> y[2];
  for (int i = 0; i < 2; ++i) {
    const MatmulPart& part = i == 0 ? avx2_isa::kFloatMatmul : avx512_isa::kFloatMatmul;
    const Weight weight(part, DType::kF32, DType::kF32, Stored(DType::kF32, w).bytes, kN, kK);
    y[i].resize(kM * kN);
    multiply(part, weight.matrix, x.data(), kM, kK, y[i].data(), kN);
  }
  EXPECT_EQ(y[0], y[1]);
}

}  // namespace
}  // namespace tenon::kernels
