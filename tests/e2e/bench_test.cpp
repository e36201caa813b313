// `tenon bench` prints what was measured, or says why it cannot be.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/json.h"
#include "server_process.h"

namespace tenon::e2e {
namespace {

using testing::HasSubstr;
namespace fs = std::filesystem;

Finished bench(const fs::path& model, const std::vector<std::string>& more) {
  std::vector<std::string> words = {"bench", model.string(), "--threads", "1", "--repeat", "1"};
  words.insert(words.end(), more.begin(), more.end());
  return run(words);
}

TEST(Bench, RefusesWhatItCannotMeasure) {
  const auto refused = [](const std::vector<std::string>& options) {
    const Finished end = bench(model_dir(), options);
    EXPECT_EQ(end.status, 1) << end.out << end.err;
    EXPECT_EQ(end.out, "");
    return end.err;
  };
  EXPECT_THAT(refused({"--batch", "1,65"}), HasSubstr("--batch 65 is more than --max-batch-size 64"));
  EXPECT_THAT(refused({"--prompt-tokens", "8", "--new-tokens", "496"}),
              HasSubstr("--new-tokens 496 and 17 tokens before them are more than the context of 512 tokens"));
  EXPECT_THAT(refused({"--prompt-tokens", "512"}),
              HasSubstr("--prompt-tokens 512 and 1 new token are more than the context of 512 tokens"));
}

TEST(Bench, MeasuresUpToTheContextAndPrintsAnyName) {
  TempDir dir;
  const fs::path model = dir.path() / "odd\xff\xfe";
  fs::create_directory(model);
  copy_model(model);
  const Finished end =
      bench(model, {"--prompt-tokens", "63", "--batch", "1,40", "--new-tokens", "47", "--max-length", "64", "--json"});
  ASSERT_EQ(end.status, 0) << end.err;
  const auto json = parse_json(end.out, "bench");
  ASSERT_TRUE(json) << json.error().message;
  ASSERT_EQ((*json)["decode"].size(), 2u);
  for (const Json& row : (*json)["decode"]) EXPECT_GT(row["tokens_per_s"], 0.0) << row;
}

}  // namespace
}  // namespace tenon::e2e
