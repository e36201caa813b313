// Real tokenizers against the ids and texts that the official library gives (golden.json of each folder).
#include <gtest/gtest.h>

#include <random>

#include "tokenizer/test_data.h"
#include "tokenizer/tokenizer.h"

namespace tenon::tokenizer {
namespace {

using Ids = std::vector<std::int32_t>;

class GoldenTest : public testing::TestWithParam<std::filesystem::path> {
 protected:
  void SetUp() override {
    if (!test::is_there(GetParam())) GTEST_SKIP() << "skipped: " << GetParam() << " is not there";
    golden_ = test::load(GetParam() / "golden.json");
    auto made = Tokenizer::from_json(test::decompress(GetParam() / "tokenizer.json.xz"));
    ASSERT_TRUE(made) << made.error().message;
    tokenizer_ = *made;
  }

  /// What streaming `ids` returns, and then flush().
  std::string stream(const Ids& ids, bool skip_special_tokens) const {
    IncrementalDetokenizer detokenizer(tokenizer_, skip_special_tokens);
    std::string text;
    for (const auto id : ids) text += detokenizer.push(id);
    return text + detokenizer.flush();
  }

  Json golden_;
  std::shared_ptr<const Tokenizer> tokenizer_;
};

TEST_P(GoldenTest, Encode) {
  const Ids prefix = golden_["special_prefix"];
  const Ids suffix = golden_["special_suffix"];
  int wrong = 0;
  for (const auto& item : golden_["cases"]) {
    const std::string text = item["text"];
    const Ids ids = item["ids"];
    Ids special = prefix;
    special.insert(special.end(), ids.begin(), ids.end());
    special.insert(special.end(), suffix.begin(), suffix.end());
    if (item.contains("ids_special")) special = item["ids_special"].get<Ids>();
    const bool right =
        tokenizer_->encode(text, false).value() == ids && tokenizer_->encode(text, true).value() == special;
    wrong += !right;
    EXPECT_TRUE(right) << item["text"];
  }
  std::printf("%zu texts, %d wrong\n", golden_["cases"].size(), wrong);
}

TEST_P(GoldenTest, Decode) {
  for (const auto& item : golden_["cases"]) {
    const Ids ids = item["ids"];
    const auto decoded = item.value("decoded", item["text"].get<std::string>());
    EXPECT_EQ(tokenizer_->decode(ids, false).value(), decoded);
    EXPECT_EQ(tokenizer_->decode(ids, true).value(), item.value("decoded_skip_special", decoded));
    EXPECT_EQ(stream(ids, false), decoded);
  }
  for (const auto& item : golden_["decode"]) {
    const Ids ids = item["ids"];
    EXPECT_EQ(tokenizer_->decode(ids, false).value(), item["text"].get<std::string>());
    EXPECT_EQ(tokenizer_->decode(ids, true).value(), item["text_skip_special"].get<std::string>());
    EXPECT_EQ(stream(ids, false), item["text"].get<std::string>());
    EXPECT_EQ(stream(ids, true), item["text_skip_special"].get<std::string>());
  }
}

TEST_P(GoldenTest, StreamNeverGivesHalfACharacter) {
  const std::string replacement = "\xEF\xBF\xBD";
  for (const auto& item : golden_["stream"]) {
    const Ids ids = item["ids"];
    IncrementalDetokenizer detokenizer(tokenizer_, false);
    std::string text;
    for (std::size_t i = 0; i < ids.size(); ++i) {
      text += detokenizer.push(ids[i]);
      std::string prefix = item["prefix_decodes"][i];
      EXPECT_TRUE(prefix.starts_with(text)) << text << " | " << prefix;
      EXPECT_EQ(text.find(replacement), std::string::npos) << text;
      // Whole characters come at once, but for runs of byte tokens, whose meaning the next token settles.
      while (prefix.ends_with(replacement)) prefix.resize(prefix.size() - replacement.size());
      if (!tokenizer_->is_byte(ids[i])) {
        EXPECT_EQ(text, prefix);
      }
    }
    EXPECT_EQ(text + detokenizer.flush(), item["prefix_decodes"].back().get<std::string>());
  }
}

TEST_P(GoldenTest, StreamOfRandomIds) {
  std::mt19937 random(7);
  const std::int32_t size = tokenizer_->vocab_size();
  Ids bytes;
  for (std::int32_t id = 0; id < size; ++id) {
    if (tokenizer_->is_byte(id) || (bytes.size() < 256 && tokenizer_->decode(Ids{id}, false) == "\xEF\xBF\xBD")) {
      bytes.push_back(id);
    }
  }
  for (int round = 0; round < 200; ++round) {
    Ids ids(1 + random() % 80);
    const bool skip = random() % 2;
    const unsigned share = random() % 4;  // of ids that are bytes, most of them in no valid order
    for (auto& id : ids) {
      // Past the end of the vocabulary too: a model may have more rows than its tokenizer has tokens.
      id = static_cast<std::int32_t>(random() % static_cast<unsigned>(size + 10));
      if (!bytes.empty() && random() % 4 < share) id = bytes[random() % bytes.size()];
    }
    ASSERT_EQ(stream(ids, skip), tokenizer_->decode(ids, skip).value()) << Json(ids) << skip;
  }
}

TEST_P(GoldenTest, Vocabulary) {
  EXPECT_EQ(tokenizer_->vocab_size(), golden_["vocab_size_with_added"].get<std::int32_t>());
  for (const Ids& ids : {Ids(golden_["special_prefix"]), Ids(golden_["special_suffix"])}) {
    for (const auto id : ids) EXPECT_TRUE(tokenizer_->is_special(id));
  }
  for (std::int32_t id = 0; id < tokenizer_->vocab_size(); id += 97) {
    const auto token = tokenizer_->id_to_token(id);
    if (token) {
      EXPECT_EQ(tokenizer_->token_to_id(*token), id) << *token;
    }
  }
  EXPECT_FALSE(tokenizer_->id_to_token(-1));
  EXPECT_FALSE(tokenizer_->id_to_token(tokenizer_->vocab_size() + 1000000));
  EXPECT_FALSE(tokenizer_->is_special(-1));
  EXPECT_FALSE(tokenizer_->token_to_id("no such token, surely"));
}

/// What chat templates render tokenizes as it did where the golden data was made.
TEST_P(GoldenTest, RenderedChats) {
  auto path = GetParam() / "chat_golden.json";
  if (!std::filesystem::exists(path))
    path = test::source_dir() / "src/chat/testdata" / GetParam().filename() / path.filename();
  if (!std::filesystem::exists(path)) GTEST_SKIP() << "skipped: no chats for it";
  const Json golden = test::load(path);
  for (const auto& item : golden["cases"]) {
    if (!item.contains("ids")) continue;  // an error, or made without the tokenizer
    EXPECT_EQ(tokenizer_->encode(item["rendered"].get<std::string>(), false).value(), Ids(item["ids"]));
  }
}

INSTANTIATE_TEST_SUITE_P(Real, GoldenTest, testing::ValuesIn(test::golden_folders()),
                         [](const auto& folder) { return test::test_name(folder.param.filename()); });

}  // namespace
}  // namespace tenon::tokenizer
