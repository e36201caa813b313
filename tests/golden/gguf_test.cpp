// Parity with transformers in float32 of the same tiny checkpoints as GGUF files, which llama.cpp's own converter
// wrote: tools/make_gguf.py. (Those of the embedders: embedding_test.cpp.)
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <set>

#include "cases.h"
#include "model/registry.h"
#include "verify/compare.h"
#include "verify/reference.h"
#include "verify/runner.h"

namespace tenon::golden {
namespace {

using namespace verify;

namespace fs = std::filesystem;

class Gguf : public testing::TestWithParam<std::string> {};

TEST_P(Gguf, TheLogitsOfTransformersWholeAndChunked) {
  const fs::path folder = fs::path(TENON_GOLDEN_DIR) / GetParam();
  const auto reference = read_reference((folder / "reference.safetensors").string());
  ASSERT_TRUE(reference) << reference.error().message;
  auto runner =
      Runner::load({.model = (folder / "model.gguf").string(), .quantization_encoding = "float32"}, /*threads=*/2);
  ASSERT_TRUE(runner) << runner.error().message;
  ASSERT_FALSE(reference->prompts.empty());
  for (std::size_t n = 0; n < reference->prompts.size(); ++n) {
    const Logits whole = (*runner)->run(reference->prompts[n], 512);
    const Difference d = compare(reference->logits[n], whole, (*runner)->vocab());
    EXPECT_LT(d.kl_max, 1e-6) << "prompt " << n;
    EXPECT_LT(d.max_abs, 1e-4) << "prompt " << n;
    EXPECT_EQ((*runner)->run(reference->prompts[n], 7), whole) << "prompt " << n;
  }
}

INSTANTIATE_TEST_SUITE_P(LlamaCpp, Gguf, testing::ValuesIn(cases_with({"model.gguf", "reference.safetensors"})),
                         [](const auto& test) { return name_of(test.param); });

TEST(GgufFiles, EveryFamilyThatReadsThemHasOne) {
  // llama.cpp writes a Mistral as a "llama" and an OLMo 2 as the "olmo2" of OLMo 3, which families read their files.
  std::set<std::string> families, expected = {"mistral", "olmo2"};
  for (const std::string& name : cases_with({"model.gguf"})) families.insert(name.substr(0, name.find('/')));
  for (const model::RegistryEntry& entry : model::registry()) {
    if (!entry.architecture->gguf.architectures.empty()) expected.insert(std::string(entry.family));
  }
  EXPECT_EQ(families, expected);
}

}  // namespace
}  // namespace tenon::golden
