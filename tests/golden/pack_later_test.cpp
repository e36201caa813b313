// What is served while its weights are still being packed is what is served afterwards, to the bit, of every family.
#include <gtest/gtest.h>

#include "cases.h"
#include "verify/runner.h"

namespace tenon::golden {
namespace {

using namespace verify;

class PackLater : public testing::TestWithParam<std::string> {};

TEST_P(PackLater, ChangesNoBit) {
  const std::vector<Ids> prompts = {{1, 5, 9, 2, 7, 3, 8, 4, 6}, {3}, {8, 2, 2, 5}};
  for (const char* encoding : {"", "float32"}) {
    loader::LoadOptions options{.model = TENON_GOLDEN_DIR "/" + GetParam(), .quantization_encoding = encoding};
    const auto packed = Runner::load(options, 2);
    if (!packed && *encoding != '\0') break;  // no floats, or not stored as such
    ASSERT_TRUE(packed) << packed.error().message;
    EXPECT_EQ((*packed)->model().executable->unpacked_bytes(), 0);
    const std::vector<Logits> expected = (*packed)->run(prompts, 512);

    options.pack_later = true;
    const auto later = Runner::load(options, 2);
    ASSERT_TRUE(later) << later.error().message;
    runtime::Executable& executable = *(*later)->model().executable;
    EXPECT_GT(executable.unpacked_bytes(), 0);
    ThreadPool pool(2);
    EXPECT_TRUE((*later)->run(prompts, 512) == expected) << "nothing packed, " << encoding;
    EXPECT_TRUE((*later)->run(prompts, 2) == expected) << "nothing packed, in chunks, " << encoding;
    while (executable.unpacked_bytes() > 0) {
      executable.pack_more(pool);
      EXPECT_TRUE((*later)->run(prompts, 512) == expected)
          << executable.unpacked_bytes() << " bytes to be packed, " << encoding;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Families, PackLater, testing::ValuesIn(generative_cases()),
                         [](const auto& test) { return name_of(test.param); });

}  // namespace
}  // namespace tenon::golden
