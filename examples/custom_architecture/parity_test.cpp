// The example gives the logits of transformers on a tiny random checkpoint (tools/make_golden.py).
#include <gtest/gtest.h>

#include "glm4/glm4.h"
#include "model/registry.h"
#include "verify/compare.h"
#include "verify/reference.h"
#include "verify/runner.h"

namespace tenon::golden {
namespace {

using namespace verify;

TEST(Glm4Example, HasTheLogitsOfTransformersHoweverThePromptIsChunked) {
  ASSERT_TRUE(model::register_architecture({"glm4", &architectures::glm4::architecture(), "the example"}));
  const std::string folder = std::string(TENON_EXAMPLE_DIR) + "/glm4/tiny";
  const auto reference = read_reference(folder + "/reference.safetensors");
  ASSERT_TRUE(reference) << reference.error().message;
  ASSERT_GE(reference->prompts.size(), 4u);
  for (const std::string& model : {folder, folder + "/model.gguf"}) {
    SCOPED_TRACE(model);
    const auto runner = Runner::load({.model = model, .quantization_encoding = "float32"}, 2);
    ASSERT_TRUE(runner) << runner.error().message;
    for (std::size_t n = 0; n < reference->prompts.size(); ++n) {
      const Logits whole = (*runner)->run(reference->prompts[n], 512);
      const Difference d = compare(reference->logits[n], whole, (*runner)->vocab());
      EXPECT_LT(d.kl_max, 1e-6) << "prompt " << n;
      EXPECT_LT(d.max_abs, 1e-4) << "prompt " << n;
      EXPECT_EQ((*runner)->run(reference->prompts[n], 7), whole);
    }
  }
}

}  // namespace
}  // namespace tenon::golden
