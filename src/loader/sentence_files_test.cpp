#include "loader/sentence_files.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

namespace tenon::loader {
namespace {

namespace fs = std::filesystem;
using runtime::PoolingMode;
using testing::HasSubstr;

class SentenceFiles : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::path(testing::TempDir()) / testing::UnitTest::GetInstance()->current_test_info()->name();
    fs::create_directories(folder_ / "1_Pooling");
  }
  void TearDown() override { fs::remove_all(folder_); }
  void write(const char* name, const std::string& text) { std::ofstream(folder_ / name) << text; }
  Result<runtime::Pooling> read() { return read_pooling(folder_.string()); }
  std::string error() {
    const auto pooling = read();
    return pooling ? "(no error)" : pooling.error().message;
  }
  static std::string modules(const std::string& more = "") {
    return R"([{"type": "sentence_transformers.models.Transformer", "path": ""},
               {"type": "sentence_transformers.models.Pooling", "path": "1_Pooling"})" +
           more + "]";
  }
  fs::path folder_;
};

TEST_F(SentenceFiles, WithoutFilesTheMean) {
  const auto pooling = read();
  ASSERT_TRUE(pooling) << pooling.error().message;
  EXPECT_EQ(pooling->mode, PoolingMode::kMean);
  EXPECT_FALSE(pooling->normalize);
}

TEST_F(SentenceFiles, ModesAndNormalisation) {
  write("modules.json", modules(R"(, {"type": "sentence_transformers.models.Normalize", "path": "2_Normalize"})"));
  write("1_Pooling/config.json", R"({"pooling_mode_cls_token": true, "pooling_mode_mean_tokens": false})");
  ASSERT_TRUE(read()) << error();
  EXPECT_EQ(read()->mode, PoolingMode::kCls);
  EXPECT_TRUE(read()->normalize);
  write("1_Pooling/config.json", R"({"pooling_mode_lasttoken": true, "include_prompt": true})");
  ASSERT_TRUE(read()) << error();
  EXPECT_EQ(read()->mode, PoolingMode::kLastToken);
  write("1_Pooling/config.json", R"({"pooling_mode": "mean"})");
  ASSERT_TRUE(read()) << error();
  EXPECT_EQ(read()->mode, PoolingMode::kMean);
}

TEST_F(SentenceFiles, WhatIsNotSupportedIsNamed) {
  write("modules.json", modules());
  write("1_Pooling/config.json", R"({"pooling_mode_max_tokens": true})");
  EXPECT_THAT(error(), HasSubstr("asks for the pooling max; supported is one of mean, cls and lasttoken"));
  write("1_Pooling/config.json", R"({"pooling_mode_mean_tokens": true, "pooling_mode_cls_token": true})");
  EXPECT_THAT(error(), HasSubstr("the pooling mean, cls;"));
  write("1_Pooling/config.json", R"({"pooling_mode_mean_tokens": true})");
  write("modules.json", modules(R"(, {"type": "sentence_transformers.models.Dense", "path": "2_Dense"})"));
  EXPECT_THAT(error(), HasSubstr("has a module Dense there"));
  write("modules.json", R"([{"type": "x.Pooling", "path": "../../etc"}])");
  EXPECT_THAT(error(), HasSubstr("which is no folder beside it"));
  write("modules.json", R"([{"type": "x.Transformer", "path": ""}])");
  EXPECT_THAT(error(), HasSubstr("has no Pooling module"));
}

}  // namespace
}  // namespace tenon::loader
