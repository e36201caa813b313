#include "tokenizer/tokenizer.h"

#include <gtest/gtest.h>

#include <thread>

#include "tokenizer/test_data.h"

namespace tenon::tokenizer {
namespace {

std::string smollm2_json() {
  return test::decompress(test::source_dir() / "src/tokenizer/testdata/smollm2/tokenizer.json.xz");
}

TEST(TokenizerTest, BadJson) {
  for (const std::string text : {"", "{", "[]", "{}", R"({"model": {"type": "Nothing"}})", "null", "\xff"}) {
    const auto made = Tokenizer::from_json(text);
    ASSERT_FALSE(made) << text;
    EXPECT_EQ(made.error().code, ErrorCode::kInvalidArgument);
    EXPECT_TRUE(made.error().message.starts_with("tokenizer.json is not a tokenizer that can be read: "));
  }
  EXPECT_FALSE(Tokenizer::from_json(std::string(100000, '[')));
}

TEST(TokenizerTest, TruncationAndPaddingAreOff) {
  Json json = Json::parse(smollm2_json());
  json["truncation"] = {{"max_length", 2}, {"strategy", "LongestFirst"}, {"stride", 0}, {"direction", "Right"}};
  json["padding"] = {{"strategy", {{"Fixed", 64}}},
                     {"direction", "Right"},
                     {"pad_to_multiple_of", nullptr},
                     {"pad_id", 0},
                     {"pad_type_id", 0},
                     {"pad_token", "<|endoftext|>"}};
  const auto tokenizer = Tokenizer::from_json(json.dump());
  ASSERT_TRUE(tokenizer) << tokenizer.error().message;
  EXPECT_EQ((*tokenizer)->encode("one two three four", true)->size(), 4u);
}

TEST(TokenizerTest, BadText) {
  const auto tokenizer = Tokenizer::from_json(smollm2_json()).value();
  const auto ids = tokenizer->encode("ab\xff", false);
  ASSERT_FALSE(ids);
  EXPECT_EQ(ids.error().message, "cannot tokenize: the text is not valid UTF-8 at byte 2");
  EXPECT_FALSE(tokenizer->decode(std::vector<std::int32_t>{-1}, false));
  EXPECT_EQ(tokenizer->decode(std::vector<std::int32_t>{9999999}, false), "");
  EXPECT_EQ(tokenizer->decode({}, false), "");
  EXPECT_FALSE(tokenizer->token_to_id("\xff"));
  const std::string zero("a\0b", 3);
  EXPECT_EQ(tokenizer->decode(tokenizer->encode(zero, false).value(), false), zero);
}

TEST(TokenizerTest, SharedByThreads) {
  const auto tokenizer = Tokenizer::from_json(smollm2_json()).value();
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int i = 0; i < 500; ++i) {
        const std::string text = "word" + std::to_string(t * 1000 + i) + " and émojis 👩‍💻";
        EXPECT_EQ(tokenizer->decode(tokenizer->encode(text, false).value(), false), text);
      }
    });
  }
  for (auto& thread : threads) thread.join();
}

TEST(TokenBytesTest, JoinedTheyAreTheText) {
  const std::string text = "Once upon  a time,\n\tthere was é 日本語 👩‍💻 café <tag> 12345";
  const auto join = [&](const Tokenizer& tokenizer) {
    std::string bytes;
    const auto ids = tokenizer.encode(text, false).value();
    for (const auto id : ids) bytes += token_bytes(tokenizer, id);
    return bytes;
  };
  const auto smollm2 = Tokenizer::from_json(smollm2_json()).value();
  EXPECT_EQ(join(*smollm2), text);
  const auto half = smollm2->encode("👩", false).value();
  ASSERT_GT(half.size(), 1u);
  EXPECT_TRUE(std::string("👩").starts_with(token_bytes(*smollm2, half[0])));
  EXPECT_FALSE(token_bytes(*smollm2, half[0]).empty());
  EXPECT_EQ(token_bytes(*smollm2, smollm2->token_to_id("<|im_end|>").value()), "<|im_end|>");
  EXPECT_EQ(token_bytes(*smollm2, 9999999), "");
  const auto tiny = Tokenizer::from_json(test::decompress(test::source_dir() /
                                                          "src/tokenizer/testdata/tinystories-260k/tokenizer.json.xz"))
                        .value();
  EXPECT_EQ(join(*tiny), " " + text);  // SentencePiece puts a space first
}

TEST(IncrementalDetokenizerTest, FlushGivesHalfACharacterAndBeginsAnew) {
  const auto tokenizer = Tokenizer::from_json(smollm2_json()).value();
  const auto ids = tokenizer->encode("👩", false).value();
  ASSERT_GT(ids.size(), 1u);
  IncrementalDetokenizer detokenizer(tokenizer, true);
  EXPECT_EQ(detokenizer.push(ids[0]), "");
  EXPECT_EQ(detokenizer.flush(), "\xEF\xBF\xBD");
  EXPECT_EQ(detokenizer.flush(), "");
  std::string text;
  for (const auto id : ids) text += detokenizer.push(id);
  EXPECT_EQ(text, "👩");
}

TEST(IncrementalDetokenizerTest, AReplyThatGoesOnWithATextKeepsItsFirstSpace) {
  const auto tokenizer =
      Tokenizer::from_json(
          test::decompress(test::source_dir() / "src/tokenizer/testdata/tinystories-260k/tokenizer.json.xz"))
          .value();
  const std::string text = "Once upon a time there was é 日本 cat who liked to sleep all day long";
  const auto ids = tokenizer->encode(text, false).value();
  for (std::size_t split = 0; split <= ids.size(); ++split) {
    IncrementalDetokenizer detokenizer(tokenizer, true);
    const std::span all(ids);
    detokenizer.begin_after(all.first(split));
    std::string rest;
    for (const auto id : all.subspan(split)) rest += detokenizer.push(id);
    rest += detokenizer.flush();
    const std::string before = tokenizer->decode(all.first(split), true).value();
    // Whole characters only: a split inside one belongs to neither side.
    if (before.ends_with("\xEF\xBF\xBD")) continue;
    EXPECT_EQ(before + rest, text) << split;
  }
}

TEST(IncrementalDetokenizerTest, SpecialTokensAreSkipped) {
  const auto tokenizer = Tokenizer::from_json(smollm2_json()).value();
  const auto end = tokenizer->token_to_id("<|im_end|>").value();
  EXPECT_TRUE(tokenizer->is_special(end));
  EXPECT_EQ(IncrementalDetokenizer(tokenizer, true).push(end), "");
  EXPECT_EQ(IncrementalDetokenizer(tokenizer, false).push(end), "<|im_end|>");
}

/// Half characters for ever, ids of no token, and a long text: the time of a token does not grow with the stream.
TEST(IncrementalDetokenizerTest, LongStreams) {
  const auto tokenizer = Tokenizer::from_json(smollm2_json()).value();
  const auto half = tokenizer->encode("👩", false).value().front();
  for (const std::int32_t id : {half, 40000000, 19556}) {
    IncrementalDetokenizer detokenizer(tokenizer, true);
    const std::vector<std::int32_t> ids(20000, id);
    std::string text;
    for (const auto one : ids) text += detokenizer.push(one);
    EXPECT_EQ(text + detokenizer.flush(), tokenizer->decode(ids, true).value());
  }
}

}  // namespace
}  // namespace tenon::tokenizer
