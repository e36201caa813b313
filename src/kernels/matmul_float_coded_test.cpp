// Coded panels of bfloat16 beside plain ones of the same weights: every product has the same bits.
#include <gtest/gtest.h>

#include <cmath>

#include "kernels/matmul_float_test.h"

namespace tenon::kernels {
namespace {

using namespace test;

std::vector<Isa> isas_with_coded_panels() {
  std::vector<Isa> all = isas();
  std::erase_if(all, [](const Isa& isa) { return isa.part->coded_panel_bytes(64) == 0; });
  return all;
}

class CodedMatmul : public ::testing::TestWithParam<Isa> {
 protected:
  const MatmulPart& part_ = *GetParam().part;
};
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(CodedMatmul);
INSTANTIATE_TEST_SUITE_P(Isas, CodedMatmul, ::testing::ValuesIn(isas_with_coded_panels()),
                         [](const auto& isa) { return isa.param.name; });

Bytes to_bytes(const std::vector<std::uint16_t>& words) {
  Bytes bytes(words.size() * 2);
  std::memcpy(bytes.data(), words.data(), bytes.size());
  return bytes;
}

std::vector<std::uint16_t> gaussian(std::int64_t count, unsigned seed) {
  std::vector<std::uint16_t> words;
  for (const float x : random_floats(static_cast<std::size_t>(count), seed))
    words.push_back(tensor::to_bf16(0.02f * x));
  return words;
}

/// Any bits but those of NaN, whose payload a product need not keep.
std::vector<std::uint16_t> any_bits(std::int64_t count) {
  std::mt19937 random(7);
  std::vector<std::uint16_t> words(static_cast<std::size_t>(count));
  for (auto& word : words) {
    do word = static_cast<std::uint16_t>(random());
    while (std::isnan(tensor::from_bf16(word)));
  }
  return words;
}

void expect_same_products(const MatmulPart& part, const std::vector<std::uint16_t>& w, std::int64_t n, std::int64_t k,
                          bool spills) {
  const Bytes stored = to_bytes(w);
  const Weight plain(part, DType::kBF16, DType::kBF16, stored, n, k);
  const Weight coded(part, DType::kBF16, DType::kBF16, stored, n, k, true);
  EXPECT_EQ(coded.spilled_parts > 0, spills);
  const auto bias = random_floats(static_cast<std::size_t>(n), 2);
  for (const std::int64_t m : {1, 2, 3, 7, 13, 14, 31, 64, 250}) {
    const auto x = random_floats(static_cast<std::size_t>(m * k), 3);
    for (const auto epilogue : {Epilogue::kStore, Epilogue::kAdd, Epilogue::kSiluMul}) {
      if (epilogue == Epilogue::kSiluMul && n % (2 * kPanel) != 0) continue;
      auto y = random_floats(static_cast<std::size_t>(m * n), 4), want = y;
      const Call call{.epilogue = epilogue, .bias = bias.data(), .panels_a_call = 2};
      multiply(part, coded.matrix, x.data(), m, k, y.data(), n, call);
      multiply(part, plain.matrix, x.data(), m, k, want.data(), n, call);
      ASSERT_EQ(0, std::memcmp(y.data(), want.data(), y.size() * sizeof(float))) << m << " x " << n << " x " << k;
    }
  }
}

TEST_P(CodedMatmul, GivesTheBitsOfPlainPanels) {
  for (const auto& [n, k] :
       {std::pair<std::int64_t, std::int64_t>{1, 64}, {33, 192}, {64, 2048}, {100, 2112}, {64, 4160}}) {
    expect_same_products(part_, gaussian(n * k, 1), n, k, false);
  }
}

// Of a chunk of 64 K by 32 columns up to 12 weights may be beyond the codes.
TEST_P(CodedMatmul, GivesThemWithExceptions) {
  constexpr std::int64_t kN = 64, kK = 2112;
  auto w = gaussian(kN * kK, 1);
  std::mt19937 random(5);
  for (std::int64_t panel = 0; panel < kN / kPanel; ++panel) {
    for (std::int64_t chunk = 0; chunk < kK / 64; ++chunk) {
      for (std::int64_t i = 0; i < chunk % 9; ++i) {
        const std::int64_t row = panel * kPanel + random() % kPanel, column = chunk * 64 + random() % 64;
        w[static_cast<std::size_t>(row * kK + column)] = static_cast<std::uint16_t>(0x6000 + random() % 0x100);
      }
    }
  }
  expect_same_products(part_, w, kN, kK, false);
}

TEST_P(CodedMatmul, GivesThemOfWeightsThatHaveNoCodes) {
  constexpr std::int64_t kN = 70, kK = 2112;
  expect_same_products(part_, any_bits(kN * kK), kN, kK, true);
  // A few such rows among others.
  auto w = gaussian(kN * kK, 1);
  std::ranges::copy(any_bits(3 * kK), w.begin() + 5 * kK);
  expect_same_products(part_, w, kN, kK, true);
}

TEST_P(CodedMatmul, SpillsAChunkWithMoreExceptionsThanItHolds) {
  for (const int exceptions : {12, 13}) {
    // 16 high bytes that are frequent, and others that are there once.
    std::vector<std::uint16_t> w(kPanel * 64);
    for (std::size_t i = 0; i < w.size(); ++i) w[i] = static_cast<std::uint16_t>(0x3000 + i % 16 * 0x100 + i % 7);
    for (int e = 0; e < exceptions; ++e) w[static_cast<std::size_t>(e * 150)] = static_cast<std::uint16_t>(e << 8);
    const Bytes stored = to_bytes(w);
    const std::byte* rows[kPanel];
    for (int i = 0; i < kPanel; ++i) rows[i] = stored.data() + i * 64 * 2;
    Aligned panel(part_.coded_panel_bytes(64));
    EXPECT_EQ(part_.pack_coded_panel(64, DType::kBF16, rows, panel.data(), nullptr, 0), exceptions - 12);
  }
}

TEST_P(CodedMatmul, PacksRowsOfAnyDType) {
  constexpr std::int64_t kN = 40, kK = 768;
  for (const DType src : {DType::kF32, DType::kF16, DType::kBF16, DType::kQ8_0, DType::kQ4_K}) {
    Bytes stored(static_cast<std::size_t>(tensor::bytes_of(src, kN * kK)));
    std::mt19937 random(5);
    if (!tensor::info(src).quantized) {
      stored = Stored(src, random_floats(kN * kK, 6)).bytes;
    } else {
      // Any bytes below 0x70 are quantized blocks with finite scales.
      for (std::byte& b : stored) b = static_cast<std::byte>(random() % 0x70);
    }
    const Weight plain(part_, DType::kBF16, src, stored, kN, kK);
    const Weight coded(part_, DType::kBF16, src, stored, kN, kK, true);
    const auto x = random_floats(3 * kK, 3);
    std::vector<float> y(3 * kN), want(3 * kN);
    multiply(part_, coded.matrix, x.data(), 3, kK, y.data(), kN);
    multiply(part_, plain.matrix, x.data(), 3, kK, want.data(), kN);
    EXPECT_EQ(y, want) << tensor::name(src);
  }
}

TEST_P(CodedMatmul, TakesThreeQuartersOfTheBytes) {
  for (const std::int64_t k : {64, 576, 2048, 8192}) {
    const auto ratio =
        static_cast<double>(part_.coded_panel_bytes(k)) / static_cast<double>(part_.panel_bytes(DType::kBF16, k));
    EXPECT_LT(ratio, 0.77) << k;
  }
  EXPECT_EQ(part_.coded_panel_bytes(96), 0);
  EXPECT_EQ(part_.coded_panel_bytes(0), 0);
}

}  // namespace
}  // namespace tenon::kernels
