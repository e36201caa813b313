// The row kernels of every ISA that this machine has, against double precision and against themselves.
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <functional>
#include <limits>
#include <random>
#include <vector>

#include "kernels/isa_test.h"
#include "kernels/parts.h"
#include "tensor/blocks.h"

namespace tenon::kernels {
namespace {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
constexpr float kInf = std::numeric_limits<float>::infinity();

class Rows : public testing::TestWithParam<IsaParts> {
 protected:
  const RowPart& rows() const { return *GetParam().rows; }
};

std::vector<float> random_floats(std::size_t n, float scale = 1.0f, unsigned seed = 1) {
  std::mt19937 engine(seed);
  std::normal_distribution<float> normal(0.0f, scale);
  std::vector<float> values(n);
  for (float& v : values) v = normal(engine);
  return values;
}

bool same_bits(float a, float b) { return std::bit_cast<std::uint32_t>(a) == std::bit_cast<std::uint32_t>(b); }

// |got - want| in units of the last place of want, counted as at least those of `floor`.
double ulps(float got, double want, double floor = 0.0) {
  const auto nearest = static_cast<float>(std::max(std::abs(want), floor));
  return std::abs(static_cast<double>(got) - want) / (static_cast<double>(std::nextafter(nearest, kInf)) - nearest);
}

// Runs f(x, y, n) whole, and then on pieces at all alignments: the bits must be the same and nothing else be written.
void expect_elementwise(const std::vector<float>& x, const std::function<void(const float*, float*, std::int64_t)>& f,
                        std::vector<float>* whole) {
  const auto n = static_cast<std::int64_t>(x.size());
  whole->assign(x.size(), 0.0f);
  f(x.data(), whole->data(), n);
  for (const std::int64_t piece : {1, 3, 7, 16, 17, 31, 33}) {
    std::vector<float> y(x.size() + 1, 77.0f);
    for (std::int64_t i = 0; i < n; i += piece) {
      f(x.data() + i, y.data() + i, std::min(piece, n - i));
      ASSERT_EQ(y[static_cast<std::size_t>(std::min(i + piece, n))], 77.0f) << "wrote beyond its range";
    }
    for (std::size_t i = 0; i < x.size(); ++i)
      ASSERT_TRUE(same_bits(y[i], (*whole)[i])) << i << " in pieces of " << piece;
  }
}

TEST_P(Rows, UnaryIsNearAndTheSameInEveryPiece) {
  struct Case {
    Unary op;
    double (*want)(double);
    double bound;
    double floor;  // results smaller than this count absolutely
  };
  const Case cases[] = {
      {Unary::kSilu, [](double x) { return x / (1 + std::exp(-x)); }, 4, 1e-30},
      {Unary::kGeluTanh,
       [](double x) { return 0.5 * x * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x))); }, 40, 1e-6},
      {Unary::kGeluErf, [](double x) { return 0.5 * x * (1 + std::erf(x / std::sqrt(2.0))); }, 4, 1.0},
      {Unary::kSigmoid, [](double x) { return 1 / (1 + std::exp(-x)); }, 4, 1e-30},
      {Unary::kTanh, [](double x) { return std::tanh(x); }, 3, 1e-30},
      {Unary::kRelu, [](double x) { return x > 0 ? x : 0.0; }, 0, 1e-30},
      {Unary::kExp, [](double x) { return std::exp(x); }, 3, 1e-30},
  };
  std::vector<float> x = random_floats(1003, 4.0f);
  x[0] = 0.0f;
  for (const Case& c : cases) {
    std::vector<float> y;
    expect_elementwise(x, [&](const float* a, float* b, std::int64_t n) { rows().unary(c.op, a, b, n); }, &y);
    for (std::size_t i = 0; i < x.size(); ++i) {
      ASSERT_LE(ulps(y[i], c.want(static_cast<double>(x[i])), c.floor), c.bound)
          << "op " << static_cast<int>(c.op) << " of " << x[i] << " gave " << y[i];
    }
    float nan = 0.0f;
    rows().unary(c.op, &kNan, &nan, 1);
    EXPECT_TRUE(std::isnan(nan)) << static_cast<int>(c.op);
  }
}

TEST_P(Rows, Arithmetic) {
  const std::vector<float> a = random_floats(197, 2.0f, 1);
  const std::vector<float> b = random_floats(197, 2.0f, 2);
  std::vector<float> y;
  // The pieces' place in b follows from their place in a.
  const auto other = [&](const float* x) { return b.data() + (x - a.data()); };
  expect_elementwise(a, [&](const float* x, float* to, std::int64_t n) { rows().add(x, other(x), to, n); }, &y);
  for (std::size_t i = 0; i < a.size(); ++i) EXPECT_EQ(y[i], a[i] + b[i]);
  expect_elementwise(a, [&](const float* x, float* to, std::int64_t n) { rows().mul(x, other(x), to, n); }, &y);
  for (std::size_t i = 0; i < a.size(); ++i) EXPECT_EQ(y[i], a[i] * b[i]);
  expect_elementwise(a, [&](const float* x, float* to, std::int64_t n) { rows().scale(x, 0.3f, to, n); }, &y);
  for (std::size_t i = 0; i < a.size(); ++i) EXPECT_EQ(y[i], a[i] * 0.3f);
  expect_elementwise(a, [&](const float* x, float* to, std::int64_t n) { rows().softcap(x, 1.5f, to, n); }, &y);
  for (std::size_t i = 0; i < a.size(); ++i) {
    EXPECT_LE(ulps(y[i], 1.5 * std::tanh(static_cast<double>(a[i]) / 1.5)), 4.0);
  }
}

TEST_P(Rows, RmsNorm) {
  for (const std::int64_t n : {1, 5, 16, 64, 67, 127, 576, 2048, 2051}) {
    const std::int64_t count = 3, ldx = n + 3, ldy = n + 1;
    const std::vector<float> x = random_floats(static_cast<std::size_t>(count * ldx), 3.0f);
    const std::vector<float> weight = random_floats(static_cast<std::size_t>(n), 1.0f, 2);
    for (const bool weighted : {true, false}) {
      const float offset = weighted ? 1.0f : 0.0f;
      std::vector<float> y(static_cast<std::size_t>(count * ldy), 77.0f);
      rows().rms_norm(x.data(), ldx, weighted ? weight.data() : nullptr, offset, 1e-5f, y.data(), ldy, count, n);
      for (std::int64_t r = 0; r < count; ++r) {
        double sum = 0;
        for (std::int64_t i = 0; i < n; ++i)
          sum += std::pow(static_cast<double>(x[static_cast<std::size_t>(r * ldx + i)]), 2);
        const double inverse = 1 / std::sqrt(sum / static_cast<double>(n) + 1e-5);
        for (std::int64_t i = 0; i < n; ++i) {
          const double w = weighted ? static_cast<double>(weight[static_cast<std::size_t>(i)]) + 1.0 : 1.0;
          const double want = static_cast<double>(x[static_cast<std::size_t>(r * ldx + i)]) * inverse * w;
          ASSERT_NEAR(y[static_cast<std::size_t>(r * ldy + i)], want, 1e-6 * std::abs(want) + 1e-7) << n << " " << i;
        }
        ASSERT_EQ(y[static_cast<std::size_t>(r * ldy + n)], 77.0f);
        // The same row alone, in place, at another alignment.
        std::vector<float> alone(static_cast<std::size_t>(n + 1));
        std::copy_n(x.data() + r * ldx, n, alone.data() + 1);
        rows().rms_norm(alone.data() + 1, n, weighted ? weight.data() : nullptr, offset, 1e-5f, alone.data() + 1, n, 1,
                        n);
        for (std::int64_t i = 0; i < n; ++i) {
          ASSERT_TRUE(same_bits(alone[static_cast<std::size_t>(i + 1)], y[static_cast<std::size_t>(r * ldy + i)]));
        }
      }
    }
  }
}

TEST_P(Rows, LayerNorm) {
  for (const std::int64_t n : {1, 5, 16, 64, 67, 127, 384, 2051}) {
    const std::int64_t count = 3, ldx = n + 3, ldy = n + 1;
    std::vector<float> x = random_floats(static_cast<std::size_t>(count * ldx), 3.0f);
    for (float& value : x) value += 50.0f;  // a mean far from 0 must not cost digits of the variance
    std::vector<float> y(static_cast<std::size_t>(count * ldy), 77.0f);
    rows().layer_norm(x.data(), ldx, 1e-5f, y.data(), ldy, count, n);
    for (std::int64_t r = 0; r < count; ++r) {
      const float* row = x.data() + r * ldx;
      double mean = 0, variance = 0;
      for (std::int64_t i = 0; i < n; ++i) mean += static_cast<double>(row[i]) / static_cast<double>(n);
      for (std::int64_t i = 0; i < n; ++i) variance += std::pow(static_cast<double>(row[i]) - mean, 2);
      const double inverse = 1 / std::sqrt(variance / static_cast<double>(n) + 1e-5);
      for (std::int64_t i = 0; i < n; ++i) {
        // The mean is rounded to float32: an absolute error of some 1e-6 of 50, scaled.
        const double want = (static_cast<double>(row[i]) - mean) * inverse;
        ASSERT_NEAR(y[static_cast<std::size_t>(r * ldy + i)], want, 1e-6 * std::abs(want) + 1e-5 * inverse)
            << n << " " << i;
      }
      ASSERT_EQ(y[static_cast<std::size_t>(r * ldy + n)], 77.0f);
      // The same row alone, in place, at another alignment.
      std::vector<float> alone(static_cast<std::size_t>(n + 1));
      std::copy_n(row, n, alone.data() + 1);
      rows().layer_norm(alone.data() + 1, n, 1e-5f, alone.data() + 1, n, 1, n);
      for (std::int64_t i = 0; i < n; ++i) {
        ASSERT_TRUE(same_bits(alone[static_cast<std::size_t>(i + 1)], y[static_cast<std::size_t>(r * ldy + i)]));
      }
    }
  }
}

TEST_P(Rows, Clamp) {
  std::vector<float> x = random_floats(67, 3.0f), y(67);
  x[3] = std::numeric_limits<float>::quiet_NaN(), x[66] = -std::numeric_limits<float>::infinity();
  rows().clamp(x.data(), -1.5f, 2.0f, y.data(), 67);
  for (std::size_t i = 0; i < x.size(); ++i) {
    if (i == 3) {
      EXPECT_TRUE(std::isnan(y[i]));
    } else {
      EXPECT_EQ(y[i], std::clamp(x[i], -1.5f, 2.0f)) << i;
    }
  }
  rows().clamp(x.data(), -std::numeric_limits<float>::infinity(), 2.0f, x.data(), 67);
  EXPECT_EQ(x[66], -std::numeric_limits<float>::infinity());
}

TEST_P(Rows, RopeTable) {
  const std::vector<std::int32_t> positions = {0, 1, 17, 4095, 131071};
  const std::vector<double> inv_freq = {1.0, 0.31622776, 1e-3, 1.3e-7};
  std::vector<float> table(positions.size() * 8);
  rows().rope_table(positions.data(), 5, inv_freq.data(), 4, 1.25f, table.data());
  for (std::size_t t = 0; t < positions.size(); ++t) {
    for (std::size_t i = 0; i < 4; ++i) {
      const long double angle = static_cast<long double>(positions[t]) * static_cast<long double>(inv_freq[i]);
      EXPECT_NEAR(table[t * 8 + i], static_cast<double>(1.25L * std::cos(angle)), 1e-7);
      EXPECT_NEAR(table[t * 8 + 4 + i], static_cast<double>(1.25L * std::sin(angle)), 1e-7);
    }
  }
}

TEST_P(Rows, Rope) {
  constexpr std::int64_t kTokens = 3;
  constexpr int kHeads = 2;
  for (const auto& [head_dim, half] :
       std::vector<std::pair<int, int>>{{8, 4}, {64, 32}, {80, 16}, {6, 1}, {70, 35}, {64, 0}}) {
    const std::int64_t ldx = kHeads * head_dim + 5;
    const std::vector<float> x = random_floats(static_cast<std::size_t>(kTokens * ldx));
    std::vector<float> table = random_floats(static_cast<std::size_t>(kTokens * 2 * half), 1.0f, 3);
    for (const RopeStyle style : {RopeStyle::kHalf, RopeStyle::kInterleaved}) {
      std::vector<float> y(x.size(), 77.0f);
      rows().rope(x.data(), ldx, table.data(), style, kTokens, kHeads, head_dim, half, y.data(), ldx);
      std::vector<float> in_place = x;
      rows().rope(in_place.data(), ldx, table.data(), style, kTokens, kHeads, head_dim, half, in_place.data(), ldx);
      for (std::int64_t t = 0; t < kTokens; ++t) {
        for (int h = 0; h < kHeads; ++h) {
          const auto at = static_cast<std::size_t>(t * ldx + h * head_dim);
          std::vector<double> want(x.begin() + static_cast<std::ptrdiff_t>(at),
                                   x.begin() + static_cast<std::ptrdiff_t>(at) + head_dim);
          for (int i = 0; i < half; ++i) {
            const auto a = static_cast<std::size_t>(style == RopeStyle::kHalf ? i : 2 * i);
            const auto b = static_cast<std::size_t>(style == RopeStyle::kHalf ? i + half : 2 * i + 1);
            const double cos = table[static_cast<std::size_t>(t * 2 * half + i)];
            const double sin = table[static_cast<std::size_t>(t * 2 * half + half + i)];
            want[a] = static_cast<double>(x[at + a]) * cos - static_cast<double>(x[at + b]) * sin;
            want[b] = static_cast<double>(x[at + b]) * cos + static_cast<double>(x[at + a]) * sin;
          }
          for (std::size_t i = 0; i < want.size(); ++i) {
            ASSERT_NEAR(y[at + i], want[i], 1e-6) << head_dim << " " << half << " " << i;
            ASSERT_TRUE(same_bits(y[at + i], in_place[at + i]));
          }
        }
        for (std::int64_t i = kHeads * head_dim; i < ldx; ++i)
          ASSERT_EQ(y[static_cast<std::size_t>(t * ldx + i)], 77.0f);
      }
    }
  }
}

TEST_P(Rows, DequantizeRowIsToFloatTimesScale) {
  std::mt19937 engine(5);
  for (const DType dtype : {DType::kF32, DType::kF16, DType::kBF16, DType::kF64, DType::kF8E4M3, DType::kI8,
                            DType::kQ4_0, DType::kQ4_1, DType::kQ5_0, DType::kQ5_1, DType::kQ8_0, DType::kQ4_K,
                            DType::kQ5_K, DType::kQ6_K, DType::kMXFP4, DType::kFP8}) {
    const tensor::DTypeInfo& type = tensor::info(dtype);
    for (const std::int64_t blocks : {1, 2, 5, 37}) {
      const std::int64_t n = blocks * type.block_elements;
      std::vector<std::byte> row(static_cast<std::size_t>(tensor::bytes_of(dtype, n)) + 1);
      for (std::byte& b : row) b = static_cast<std::byte>(engine() & 0x3f);  // no NaN or infinity in any format
      std::vector<float> want(static_cast<std::size_t>(n)), got(static_cast<std::size_t>(n) + 1, 77.0f);
      tensor::to_float(dtype, row.data() + 1, n, want.data());
      rows().dequantize_row(dtype, row.data() + 1, n, 0.7f, got.data());
      for (std::size_t i = 0; i < want.size(); ++i) {
        ASSERT_TRUE(same_bits(got[i], want[i] * 0.7f)) << tensor::name(dtype) << " " << i;
      }
      ASSERT_EQ(got.back(), 77.0f);
    }
  }
}

TEST_P(Rows, Argmax) {
  for (const std::size_t n : {1u, 2u, 15u, 16u, 17u, 100u, 1003u}) {
    std::vector<float> x = random_floats(n, 1.0f, static_cast<unsigned>(n));
    for (const std::size_t at : {std::size_t{0}, n / 2, n - 1}) {
      std::vector<float> y = x;
      y[at] = 100.0f;
      EXPECT_EQ(rows().argmax(y.data(), static_cast<std::int64_t>(n)), static_cast<std::int64_t>(at));
      y[n - 1] = 100.0f;  // a tie: the first counts
      EXPECT_EQ(rows().argmax(y.data(), static_cast<std::int64_t>(n)), static_cast<std::int64_t>(at));
    }
    // All below zero: the zeros that fill the tail must not win.
    for (float& v : x) v = -std::abs(v) - 1.0f;
    const auto want = std::max_element(x.begin(), x.end()) - x.begin();
    EXPECT_EQ(rows().argmax(x.data(), static_cast<std::int64_t>(n)), want);
  }
  const std::vector<float> nans = {kNan, -kInf, kNan, -kInf};
  EXPECT_EQ(rows().argmax(nans.data(), 4), 1);
  EXPECT_EQ(rows().argmax(nans.data(), 1), 0);
  std::vector<float> mixed(40, kNan);
  mixed[33] = -3.0f;
  EXPECT_EQ(rows().argmax(mixed.data(), 40), 33);
  mixed[2] = kInf;
  EXPECT_EQ(rows().argmax(mixed.data(), 40), 2);
}

TEST_P(Rows, LogSumExp) {
  for (const std::size_t n : {1u, 2u, 15u, 16u, 17u, 1003u, 50001u}) {
    for (const float shift : {0.0f, -200.0f, 300.0f}) {
      std::vector<float> x = random_floats(n, 3.0f, static_cast<unsigned>(n));
      double sum = 0;
      for (float& v : x) v += shift;
      for (const float v : x) sum += std::exp(static_cast<double>(v) - static_cast<double>(shift));
      const double want = std::log(sum) + static_cast<double>(shift);
      EXPECT_NEAR(rows().log_sum_exp(x.data(), static_cast<std::int64_t>(n)), want, 3e-6);
      // At another alignment.
      std::vector<float> moved(n + 1);
      std::copy(x.begin(), x.end(), moved.begin() + 1);
      EXPECT_EQ(rows().log_sum_exp(moved.data() + 1, static_cast<std::int64_t>(n)),
                rows().log_sum_exp(x.data(), static_cast<std::int64_t>(n)));
    }
  }
  const std::vector<float> lowest(20, -kInf);
  EXPECT_EQ(rows().log_sum_exp(lowest.data(), 20), -static_cast<double>(kInf));
  const std::vector<float> some = {1.0f, kNan, 2.0f};
  EXPECT_TRUE(std::isnan(rows().log_sum_exp(some.data(), 3)));
  EXPECT_TRUE(std::isnan(rows().log_sum_exp(some.data() + 1, 1)));
  const std::vector<float> infinite = {1.0f, kInf};
  EXPECT_EQ(rows().log_sum_exp(infinite.data(), 2), static_cast<double>(kInf));
}

INSTANTIATE_TEST_SUITE_P(Isa, Rows, testing::ValuesIn(isa_parts()), [](const auto& isa) { return isa.param.name; });

}  // namespace
}  // namespace tenon::kernels
