// Parity with transformers in float32 on tiny random checkpoints: tools/make_golden.py.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>

#include "cases.h"
#include "verify/compare.h"
#include "verify/reference.h"
#include "verify/runner.h"

namespace tenon::golden {
namespace {

using namespace verify;

namespace fs = std::filesystem;

fs::path golden_dir() { return fs::path(std::getenv("TENON_SOURCE_DIR")) / "tests" / "golden"; }

class Golden : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    const fs::path folder = golden_dir() / GetParam();
    auto reference = read_reference((folder / "reference.safetensors").string());
    ASSERT_TRUE(reference) << reference.error().message;
    reference_ = std::move(*reference);
    auto runner = Runner::load({.model = folder.string(), .quantization_encoding = "float32", .taps = true}, 2);
    ASSERT_TRUE(runner) << runner.error().message;
    runner_ = std::move(*runner);
  }
  void expect_near(const std::vector<Logits>& ours) {
    for (std::size_t n = 0; n < ours.size(); ++n) {
      const Difference d = compare(reference_.logits[n], ours[n], runner_->vocab());
      EXPECT_LT(d.kl_max, 1e-6) << "prompt " << n;
      EXPECT_LT(d.max_abs, 1e-4) << "prompt " << n;
    }
  }
  Reference reference_;
  std::unique_ptr<Runner> runner_;
};

TEST_P(Golden, WholeChunkedTokenByTokenAndMixedBatch) {
  std::vector<Logits> whole;
  for (const Ids& ids : reference_.prompts) whole.push_back(runner_->run(ids, 512));
  expect_near(whole);
  // From here on bits: one answer per request.
  EXPECT_EQ(runner_->run(reference_.prompts[0], 7), whole[0]);
  EXPECT_EQ(runner_->run(reference_.prompts[0], 1), whole[0]);
  EXPECT_EQ(runner_->run(reference_.prompts, 512), whole);
  EXPECT_EQ(runner_->run(reference_.prompts, 5), whole);
}

TEST_P(Golden, TapsOfEveryLayer) {
  runner_->run(reference_.prompts[0], 512);
  std::size_t compared = 0;
  for (const runtime::Tap& tap : runner_->model().executable->taps()) {
    const auto* expected = reference_.tensors->find("tap." + tap.name);
    if (!expected) continue;
    ++compared;
    ASSERT_EQ(static_cast<std::size_t>(tensor::elements(expected->shape)), tap.values.size()) << tap.name;
    const auto* x = reinterpret_cast<const float*>(expected->data);
    double worst = 0;
    for (std::size_t i = 0; i < tap.values.size(); ++i) {
      worst = std::max(worst, std::abs(static_cast<double>(x[i]) - tap.values[i]) / (1 + std::abs(x[i])));
    }
    EXPECT_LT(worst, 1e-4) << tap.name;
  }
  std::size_t references = 0;
  for (const auto& name : reference_.tensors->names()) references += name.starts_with("tap.");
  EXPECT_EQ(compared, references) << "some reference taps have no counterpart";
}

INSTANTIATE_TEST_SUITE_P(Transformers, Golden, testing::ValuesIn(cases_with({"reference.safetensors"})),
                         [](const auto& test) { return name_of(test.param); });

TEST(Stories260K, Reproduces200GreedyIds) {
  const fs::path folder = fs::path(std::getenv("TENON_SOURCE_DIR")) / "tests" / "data" / "stories260K";
  const auto golden = read_json_file((folder / "golden.json").string());
  ASSERT_TRUE(golden) << golden.error().message;
  const Ids expected = golden->at("greedy_ids_from_bos").get<Ids>();
  ASSERT_GE(expected.size(), 200u);
  for (const int chunk : {1, 512}) {
    auto runner = Runner::load({.model = folder.string(), .quantization_encoding = "float32"});
    ASSERT_TRUE(runner) << runner.error().message;
    // Teacher forcing on the golden ids: every next id must be the argmax, which is greedy decoding.
    const Logits logits = (*runner)->run(expected, chunk);
    const auto vocab = static_cast<std::size_t>((*runner)->vocab());
    for (std::size_t t = 0; t + 1 < expected.size(); ++t) {
      const float* row = logits.data() + t * vocab;
      ASSERT_EQ(std::max_element(row, row + vocab) - row, expected[t + 1]) << "at " << t;
    }
  }
}

}  // namespace
}  // namespace tenon::golden
