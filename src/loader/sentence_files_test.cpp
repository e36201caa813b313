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

TEST_F(SentenceFiles, DefaultPrompt) {
  EXPECT_EQ(*read_default_prompt(folder_.string()), "");
  const auto write_config = [&](const std::string& name) {
    write("config_sentence_transformers.json",
          R"({"prompts": {"query": "query: ", "document": ""}, "default_prompt_name": )" + name + "}");
  };
  write_config("null");
  EXPECT_EQ(*read_default_prompt(folder_.string()), "");
  write_config("\"query\"");
  EXPECT_EQ(*read_default_prompt(folder_.string()), "query: ");
  for (const char* wrong : {"\"passage\"", "1"}) {
    write_config(wrong);
    const auto read = read_default_prompt(folder_.string());
    ASSERT_FALSE(read) << wrong;
    EXPECT_THAT(read.error().message, HasSubstr("which is none of its prompts"));
  }
  write("modules.json", modules());
  write("1_Pooling/config.json", R"({"pooling_mode_mean_tokens": true, "include_prompt": false})");
  write_config("\"query\"");
  EXPECT_THAT(error(), HasSubstr("says include_prompt false, but the model has the default prompt \"query: \""));
  write_config("\"document\"");
  EXPECT_TRUE(read()) << error();
}

TEST_F(SentenceFiles, MaxSeqLength) {
  EXPECT_EQ(*read_max_seq_length(folder_.string()), std::nullopt);
  write("sentence_bert_config.json", R"({"max_seq_length": null})");
  EXPECT_EQ(*read_max_seq_length(folder_.string()), std::nullopt);
  write("sentence_bert_config.json", R"({"max_seq_length": 256, "do_lower_case": false})");
  EXPECT_EQ(*read_max_seq_length(folder_.string()), 256);
  for (const char* wrong : {"0", "-1", "\"256\"", "1.5", "99999999999"}) {
    write("sentence_bert_config.json", std::string(R"({"max_seq_length": )") + wrong + "}");
    const auto read = read_max_seq_length(folder_.string());
    ASSERT_FALSE(read) << wrong;
    EXPECT_THAT(read.error().message, HasSubstr("which is no number of tokens"));
  }
  write("sentence_bert_config.json", "[]");
  EXPECT_FALSE(read_max_seq_length(folder_.string()));
}

TEST_F(SentenceFiles, LowerCaseIsTheTokenizersOrRefused) {
  const auto check = [&](const char* tokenizer) { return check_lower_case(folder_.string(), tokenizer).has_value(); };
  EXPECT_TRUE(check(R"({"normalizer": null})"));
  write("sentence_bert_config.json", R"({"do_lower_case": true})");
  EXPECT_FALSE(check(R"({"normalizer": null})"));
  EXPECT_FALSE(check(R"({"normalizer": {"type": "BertNormalizer", "lowercase": false}})"));
  EXPECT_TRUE(check(R"({"normalizer": {"type": "BertNormalizer", "lowercase": true}})"));
  EXPECT_TRUE(
      check(R"({"normalizer": {"type": "Sequence", "normalizers": [{"type": "NFD"}, {"type": "Lowercase"}]}})"));
}

TEST_F(SentenceFiles, PoolingOfGguf) {
  const auto of = [](int type) {
    return gguf_pooling(Json{{"general.architecture", "qwen3"}, {"qwen3.pooling_type", type}});
  };
  EXPECT_EQ(of(1)->mode, PoolingMode::kMean);
  EXPECT_EQ(of(2)->mode, PoolingMode::kCls);
  EXPECT_EQ(of(3)->mode, PoolingMode::kLastToken);
  EXPECT_TRUE(of(3)->normalize);
  EXPECT_FALSE(of(0));
  EXPECT_FALSE(gguf_pooling(Json{{"general.architecture", "qwen3"}}));
  EXPECT_FALSE(gguf_pooling(Json::object()));
}

TEST_F(SentenceFiles, MatryoshkaAsTheConfigSays) {
  const auto read_config = [](const char* text) {
    Embedding embedding;
    const Status status = read_matryoshka(Json::parse(text), embedding);
    EXPECT_TRUE(status) << text;
    return embedding;
  };
  EXPECT_FALSE(read_config("{}").matryoshka);
  EXPECT_TRUE(read_config(R"({"is_matryoshka": true})").matryoshka);
  const Embedding some = read_config(R"({"matryoshka_dimensions": [64, 128]})");
  EXPECT_TRUE(some.matryoshka);
  EXPECT_EQ(some.matryoshka_dimensions, (std::vector<std::int64_t>{64, 128}));
  Embedding embedding;
  EXPECT_FALSE(read_matryoshka(Json::parse(R"({"matryoshka_dimensions": ["a"]})"), embedding));
  EXPECT_FALSE(read_matryoshka(Json::parse(R"({"is_matryoshka": 1})"), embedding));
}

}  // namespace
}  // namespace tenon::loader
