// The elementary functions of each ISA, through its table's unary kernels, over all magnitudes of floats.
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <vector>

#include "kernels/kernels.h"

namespace tenon::kernels {
namespace {

constexpr double kInf = std::numeric_limits<double>::infinity();

struct Function {
  Unary op;
  const char* name;
  double (*exact)(double);
  double ulps;   ///< allowed, of results whose magnitude is at least `floor`
  double floor;  ///< below it, of the floor
};

// The functions that divide by 1 + e^-x may give zero for a result below 3e-37; gelu's exact values vanish likewise.
const Function kFunctions[] = {
    {Unary::kExp, "exp", [](double x) { return std::exp(x); }, 1.0, 0.0},
    {Unary::kTanh, "tanh", [](double x) { return std::tanh(x); }, 2.5, 0.0},
    {Unary::kSigmoid, "sigmoid", [](double x) { return 1 / (1 + std::exp(-x)); }, 2.5, 0x1p-97},
    {Unary::kSilu, "silu", [](double x) { return x / (1 + std::exp(-x)); }, 2.5, 0x1p-97},
    {Unary::kGeluTanh, "gelu_tanh",
     [](double x) { return 0.5 * x * (1 + std::tanh(M_2_SQRTPI * M_SQRT1_2 * (x + 0.044715 * x * x * x))); }, 4.0,
     0.25},
    {Unary::kGeluErf, "gelu_erf", [](double x) { return 0.5 * x * (1 + std::erf(x * M_SQRT1_2)); }, 4.0, 0.25},
};

double ulp_of(double x) {
  const auto f = static_cast<float>(std::fabs(x));
  return static_cast<double>(std::nextafter(f, std::numeric_limits<float>::infinity())) - static_cast<double>(f);
}

void check(const Kernels& table, const Function& f) {
  // Every 4099th float of both signs, infinities and NaN among them; every lane and tail sees all kinds.
  std::vector<float> x;
  for (std::uint64_t bits = 0; bits <= 0xffffffffu; bits += 4099) {
    x.push_back(std::bit_cast<float>(static_cast<std::uint32_t>(bits)));
  }
  for (const float special : {0.0f, -0.0f, INFINITY, -INFINITY, NAN}) x.push_back(special);
  // And densely where the polynomials and cases meet.
  for (float v = -20.0f; v < 20.0f; v += 0.0003f) x.push_back(v);
  std::vector<float> y(x.size());
  table.unary(f.op, x.data(), y.data(), static_cast<std::int64_t>(x.size()));
  double worst = 0;
  for (std::size_t i = 0; i < x.size(); ++i) {
    const double want = f.exact(static_cast<double>(x[i]));
    const double got = static_cast<double>(y[i]);
    if (std::isnan(want)) {
      EXPECT_TRUE(std::isnan(got) || std::isinf(x[i])) << f.name << "(" << x[i] << ") = " << got;
      continue;
    }
    if (std::isinf(static_cast<float>(want))) {
      EXPECT_EQ(std::fabs(got), kInf) << f.name << "(" << x[i] << ")";
      continue;
    }
    const double error = std::fabs(got - want) / ulp_of(std::max(std::fabs(want), f.floor));
    worst = std::max(worst, error);
    ASSERT_LE(error, f.ulps) << f.name << "(" << x[i] << ") = " << got << ", not " << want;
  }
  std::printf("[ accuracy ] %s %s: %.2f ulp\n", table.isa, f.name, worst);
}

TEST(VectorMath, IsAsAccurateAsDeclared) {
  for (const Kernels* table : {portable(), avx2(), avx512()}) {
    if (table == nullptr) continue;
    for (const Function& f : kFunctions) check(*table, f);
  }
}

}  // namespace
}  // namespace tenon::kernels
