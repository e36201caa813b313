// Checkpoints of block-scaled FP8, multiplied as such: near what transformers computes from the same numbers in
// float32, one answer per request, and no wider in memory. (In float32 they are among the cases of golden_test.cpp.)
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <random>

#include "verify/compare.h"
#include "verify/reference.h"
#include "verify/runner.h"

namespace tenon::golden {
namespace {

using namespace verify;

namespace fs = std::filesystem;

struct Case {
  const char* family;
  std::int64_t weights;  ///< of FP8 that are multiplied as such
};

void PrintTo(const Case& c, std::ostream* out) { *out << c.family; }

class Fp8 : public testing::TestWithParam<Case> {
 protected:
  fs::path checkpoint() const {
    return fs::path(std::getenv("TENON_SOURCE_DIR")) / "tests" / "golden" / GetParam().family / "fp8";
  }
  Reference reference() const { return read_reference((checkpoint() / "reference.safetensors").string()).value(); }
  std::unique_ptr<Runner> runner(const std::string& encoding = "", int threads = 2) const {
    auto loaded = Runner::load({.model = checkpoint().string(), .quantization_encoding = encoding}, threads);
    EXPECT_TRUE(loaded) << loaded.error().message;
    return std::move(*loaded);
  }
};

TEST_P(Fp8, ComesNearTheReference) {
  const Reference expected = reference();
  const auto fp8 = runner();
  EXPECT_EQ(fp8->model().encoding, "fp8");
  for (std::size_t n = 0; n < expected.prompts.size(); ++n) {
    const Difference d = compare(expected.logits[n], fp8->run(expected.prompts[n], 512), fp8->vocab());
    EXPECT_LT(d.kl_mean, 1e-2) << "prompt " << n;
    EXPECT_GT(d.kl_max, 0) << "what is not FP8 is rounded to bfloat16, so that something must differ";
  }
}

// 33 bytes for 32 weights; what is not FP8 is as in bfloat16.
TEST_P(Fp8, StaysAsItIsInMemory) {
  const auto bytes = [&](const std::string& encoding) { return runner(encoding)->model().executable->weight_bytes(); };
  const std::int64_t weights = GetParam().weights;
  setenv("TENON_DISABLE_PASSES", "code_weights", 1);  // of bfloat16, to two bytes a weight
  EXPECT_EQ(bytes("bfloat16") - bytes("fp8"), 2 * weights - weights / 32 * 33);
  unsetenv("TENON_DISABLE_PASSES");
}

TEST_P(Fp8, OneAnswerPerRequest) {
  std::vector<Ids> prompts = reference().prompts;
  std::mt19937 random(7);
  while (prompts.size() < 64) {
    prompts.emplace_back(1 + random() % 20);
    for (auto& id : prompts.back()) id = static_cast<std::int32_t>(random() % 96);
  }
  std::vector<Logits> alone;
  for (const int threads : {1, 2, 4}) {
    const auto fp8 = runner("fp8", threads);
    if (alone.empty()) {
      for (const Ids& ids : prompts) alone.push_back(fp8->run(ids, 512));
    }
    for (const int chunk : {1, 7, 64, 512}) {
      EXPECT_EQ(fp8->run(prompts[0], chunk), alone[0]) << "chunks of " << chunk << ", threads " << threads;
      EXPECT_EQ(fp8->run(prompts, chunk), alone) << "together, chunks of " << chunk << ", threads " << threads;
    }
  }
}

// Of each layer: q, k and v, o, gate, up and down; or those of four experts; or four experts, the shared one, o, q_a,
// the values' half of kv_b (the keys' half is transposed, as floats), q_b and kv_a, of which 136 rows are five panels.
constexpr std::int64_t kSquare = 128 * 128;
INSTANTIATE_TEST_SUITE_P(Families, Fp8,
                         testing::Values(Case{"qwen3", 2 * (3 * kSquare + 3 * 2 * kSquare)},
                                         Case{"qwen3_moe", 3 * kSquare + 12 * kSquare},
                                         Case{"deepseek_v3", 18 * kSquare + (96 + 160) * 128}),
                         [](const auto& test) { return std::string(test.param.family); });

}  // namespace
}  // namespace tenon::golden
