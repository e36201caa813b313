#include "loader/text_assets.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

namespace tenon::loader {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;

class TextAssetsTest : public testing::Test {
 protected:
  TextAssetsTest() : dir_(fs::temp_directory_path() / ("tenon_text_" + std::to_string(::getpid()))) {
    fs::create_directories(dir_);
    config_.eos_token_ids = {2};
  }
  ~TextAssetsTest() override { fs::remove_all(dir_); }
  void write(const std::string& name, const std::string& text) const { std::ofstream(dir_ / name) << text; }
  Result<TextAssets> read() const { return text_from_directory(dir_.string(), config_); }

  fs::path dir_;
  model::ModelConfig config_;
};

TEST_F(TextAssetsTest, AnEmptyDirectoryHasOnlyTheConfigsIds) {
  const auto text = read();
  ASSERT_TRUE(text);
  EXPECT_EQ(text->tokenizer_json, "");
  EXPECT_EQ(text->chat_template, "");
  EXPECT_THAT(text->eos_token_ids, ElementsAre(2));
}

TEST_F(TextAssetsTest, SpecialTokensAsTextOrAddedToken) {
  write("tokenizer.json", "{\"model\": 1}");
  write("tokenizer_config.json",
        R"({"bos_token": "<s>", "eos_token": {"content": "</s>", "lstrip": false}, "pad_token": null})");
  write("special_tokens_map.json", R"({"bos_token": "<other>", "unk_token": "<unk>"})");
  write("generation_config.json", R"({"eos_token_id": [7, 2], "temperature": 0.5})");
  const auto text = read();
  ASSERT_TRUE(text) << text.error().message;
  EXPECT_EQ(text->tokenizer_json, "{\"model\": 1}");
  EXPECT_EQ(text->special_tokens, Json::parse(R"({"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>"})"));
  EXPECT_THAT(text->eos_token_ids, ElementsAre(7, 2));
  EXPECT_EQ(text->generation_config["temperature"], 0.5);
}

TEST_F(TextAssetsTest, TheTemplateFileWinsOverJsonOverTheTokenizersConfig) {
  write("tokenizer_config.json",
        R"({"chat_template": [{"name": "tool_use", "template": "t"}, {"name": "default", "template": "d"}]})");
  EXPECT_EQ(read()->chat_template, "d");
  write("chat_template.json", R"({"chat_template": "j"})");
  EXPECT_EQ(read()->chat_template, "j");
  write("chat_template.jinja", "file");
  EXPECT_EQ(read()->chat_template, "file");
}

TEST_F(TextAssetsTest, TokensThatEndAReplyMustBeTokens) {
  for (const char* bad : {"\"x\"", "-3", "1e30", "[2, null]", "2.5"}) {
    write("generation_config.json", std::string("{\"eos_token_id\": ") + bad + "}");
    ASSERT_FALSE(read()) << bad;
    EXPECT_THAT(read().error().message, HasSubstr("eos_token_id in " + dir_.string() + "/generation_config.json is "));
  }
  for (const char* none : {"null", "-1", "[]"}) {
    write("generation_config.json", std::string("{\"eos_token_id\": ") + none + "}");
    ASSERT_TRUE(read()) << read().error().message;
    EXPECT_THAT(read()->eos_token_ids, ElementsAre(2)) << none;
  }
}

TEST_F(TextAssetsTest, BrokenFilesAreNamed) {
  write("tokenizer.json", "");
  EXPECT_THAT(read().error().message, HasSubstr("tokenizer.json is empty"));
  fs::remove(dir_ / "tokenizer.json");
  write("tokenizer_config.json", R"({"chat_template": [{"name": "tool_use", "template": "t"}]})");
  EXPECT_THAT(read().error().message, HasSubstr("without a template named \"default\""));
  write("tokenizer_config.json", R"({"chat_template": 3})");
  EXPECT_THAT(read().error().message, HasSubstr("neither a string nor a list"));
  write("tokenizer_config.json", "{");
  EXPECT_THAT(read().error().message, HasSubstr("tokenizer_config.json"));
  write("tokenizer_config.json", "[]");
  EXPECT_THAT(read().error().message, HasSubstr("not a JSON object"));
}

TEST_F(TextAssetsTest, Gguf) {
  const Json metadata = Json::parse(R"({"tokenizer.chat_template": "x", "tokenizer.ggml.bos_token_id": 1,
    "tokenizer.ggml.eos_token_id": 2, "tokenizer.ggml.eot_token_id": 3, "tokenizer.ggml.add_bos_token": false,
    "tokenizer.ggml.tokens": ["<unk>", "<s>", "</s>", "<a>", "<end_of_turn>", "<|im_end|>"],
    "tokenizer.ggml.token_type": [2, 3, 3, 3, 3, 1]})");
  const auto text = text_from_gguf(metadata, config_);
  ASSERT_TRUE(text) << text.error().message;
  EXPECT_EQ(text->chat_template, "x");
  EXPECT_EQ(text->special_tokens, Json::parse(R"({"bos_token": "<s>", "eos_token": "</s>"})"));
  EXPECT_EQ(text->add_bos_token, false);
  EXPECT_THAT(text->eos_token_ids, ElementsAre(2, 3, 4)) << "<|im_end|> is no control token here";
  EXPECT_FALSE(text->gguf_metadata.is_null());

  Json broken = metadata;
  broken["tokenizer.ggml.eos_token_id"] = 99;
  EXPECT_THAT(text_from_gguf(broken, config_).error().message, HasSubstr("99, which is no token"));
}

}  // namespace
}  // namespace tenon::loader
