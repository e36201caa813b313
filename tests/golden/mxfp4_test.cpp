// gpt-oss with MXFP4 experts, multiplied as such: near what transformers computes from the same numbers, one answer per
// request, and the same bits from a GGUF file of llama.cpp's converter as from SafeTensors.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

#include "verify/compare.h"
#include "verify/reference.h"
#include "verify/runner.h"

namespace tenon::golden {
namespace {

using namespace verify;

namespace fs = std::filesystem;

fs::path checkpoint() { return fs::path(std::getenv("TENON_SOURCE_DIR")) / "tests" / "golden" / "gpt_oss" / "mxfp4"; }

Reference reference(const fs::path& folder = checkpoint()) {
  return read_reference((folder / "reference.safetensors").string()).value();
}

TEST(Mxfp4, ComesNearTheReference) {
  const Reference expected = reference();
  auto runner = Runner::load({.model = checkpoint().string()});
  ASSERT_TRUE(runner) << runner.error().message;
  for (std::size_t n = 0; n < expected.prompts.size(); ++n) {
    const Difference d = compare(expected.logits[n], (*runner)->run(expected.prompts[n], 512), (*runner)->vocab());
    EXPECT_LT(d.kl_mean, 1e-3) << "prompt " << n;
    EXPECT_GT(d.kl_max, 0) << "activations are rounded, so that something must differ";
  }
}

// 17 bytes for 32 weights of the experts; the rest is as in bfloat16.
TEST(Mxfp4, StaysAsItIsInMemory) {
  const auto bytes = [](const std::string& encoding) {
    auto runner = Runner::load({.model = checkpoint().string(), .quantization_encoding = encoding});
    EXPECT_TRUE(runner) << runner.error().message;
    return (*runner)->model().executable->weight_bytes();
  };
  constexpr std::int64_t kWeights = 2 * 3 * (64 * 32 + 64 * 32 + 32 * 64);  // layers, experts, gate, up and down
  setenv("TENON_DISABLE_PASSES", "code_weights", 1);                        // of bfloat16, to two bytes a weight
  EXPECT_EQ(bytes("bfloat16") - bytes("mxfp4"), 2 * kWeights - kWeights / 32 * 17);
  unsetenv("TENON_DISABLE_PASSES");
}

TEST(Mxfp4, OneAnswerPerRequest) {
  const std::vector<Ids> prompts = reference().prompts;
  std::vector<Logits> alone;
  for (const int threads : {1, 2, 4}) {
    auto runner = Runner::load({.model = checkpoint().string()}, threads);
    ASSERT_TRUE(runner) << runner.error().message;
    if (alone.empty()) {
      for (const Ids& ids : prompts) alone.push_back((*runner)->run(ids, 512));
    }
    for (const int chunk : {1, 3, 7, 512}) {
      EXPECT_EQ((*runner)->run(prompts[0], chunk), alone[0]) << "chunks of " << chunk << ", threads " << threads;
      EXPECT_EQ((*runner)->run(prompts, chunk), alone) << "together, chunks of " << chunk << ", threads " << threads;
    }
  }
}

TEST(Mxfp4, GgufAndSafetensorsGiveTheSameLogits) {
  const fs::path folder = checkpoint().parent_path() / "mxfp4_published";
  const std::vector<Ids> prompts = reference(folder).prompts;
  for (const std::string encoding : {"", "mxfp4", "bfloat16", "float32"}) {
    SCOPED_TRACE(encoding);
    auto a = Runner::load({.model = folder.string(), .quantization_encoding = encoding});
    ASSERT_TRUE(a) << a.error().message;
    auto b = Runner::load({.model = (folder / "model.gguf").string(), .quantization_encoding = encoding});
    ASSERT_TRUE(b) << b.error().message;
    EXPECT_EQ((*a)->model().encoding, encoding.empty() ? "mxfp4" : encoding);
    EXPECT_EQ((*b)->model().encoding, encoding.empty() ? "mxfp4" : encoding);
    EXPECT_EQ((*a)->run(prompts, 512), (*b)->run(prompts, 512));
  }
}

}  // namespace
}  // namespace tenon::golden
