// OpenAI's JSON of /v1/embeddings: what a body may say, and what an answer looks like.
#include "server/embeddings.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace tenon::server {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using Ids = std::vector<std::int32_t>;

Result<ParsedEmbeddings> parse(const char* text) { return parse_embeddings_request(Json::parse(text)); }
Error error(const char* text) {
  const auto parsed = parse(text);
  return parsed ? Error{ErrorCode::kInternal, "accepted"} : parsed.error();
}

TEST(EmbeddingsRequest, EveryFormOfInput) {
  const auto inputs = [](const char* text) { return parse(text)->embed.inputs; };
  EXPECT_THAT(inputs(R"({"model": "m", "input": "a"})"), ElementsAre(std::string("a")));
  EXPECT_THAT(inputs(R"({"model": "m", "input": ["a", "b"]})"), ElementsAre(std::string("a"), std::string("b")));
  EXPECT_THAT(inputs(R"({"model": "m", "input": [1, 2]})"), ElementsAre(Ids{1, 2}));
  EXPECT_THAT(inputs(R"({"model": "m", "input": [[1, 2], [3]]})"), ElementsAre(Ids{1, 2}, Ids{3}));
}

TEST(EmbeddingsRequest, Options) {
  const auto parsed = parse(
      R"({"model": "m", "input": "a", "encoding_format": "base64", "dimensions": 64, "user": "u",
          "truncate_prompt_tokens": -1})");
  ASSERT_TRUE(parsed) << parsed.error().message;
  EXPECT_TRUE(parsed->base64);
  EXPECT_EQ(parsed->embed.dimensions, 64);
  EXPECT_EQ(parsed->embed.truncate_prompt_tokens, -1);
  EXPECT_TRUE(parse(R"({"model": "m", "input": "a", "add_special_tokens": true, "priority": 0})"));
  EXPECT_EQ(error(R"({"model": "m", "input": "a", "add_special_tokens": false})").param, "add_special_tokens");
  EXPECT_EQ(error(R"({"model": "m", "input": "a", "priority": 1})").param, "priority");
  const auto plain = parse(R"({"model": "m", "input": "a", "encoding_format": null, "dimensions": null})");
  ASSERT_TRUE(plain);
  EXPECT_FALSE(plain->base64);
  EXPECT_FALSE(plain->embed.dimensions);
}

TEST(EmbeddingsRequest, WhatIsWrongIsNamed) {
  const std::pair<const char*, const char*> wrong[] = {
      {R"([])", ""},
      {R"({"input": "a"})", "model"},
      {R"({"model": 3, "input": "a"})", "model"},
      {R"({"model": "m"})", "input"},
      {R"({"model": "m", "input": null})", "input"},
      {R"({"model": "m", "input": 3})", "input"},
      {R"({"model": "m", "input": {}})", "input"},
      {R"({"model": "m", "input": []})", "input"},
      {R"({"model": "m", "input": ["a", 1]})", "input"},
      {R"({"model": "m", "input": ["a", ["b"]]})", "input"},
      {R"({"model": "m", "input": [[1], 2]})", "input"},
      {R"({"model": "m", "input": [[1], ["a"]]})", "input"},
      {R"({"model": "m", "input": [-1]})", "input"},
      {R"({"model": "m", "input": [1.5]})", "input"},
      {R"({"model": "m", "input": [99999999999]})", "input"},
      {R"({"model": "m", "input": [true]})", "input"},
      {R"({"model": "m", "input": "a", "encoding_format": "hex"})", "encoding_format"},
      {R"({"model": "m", "input": "a", "dimensions": 0})", "dimensions"},
      {R"({"model": "m", "input": "a", "dimensions": "8"})", "dimensions"},
      {R"({"model": "m", "input": "a", "truncate_prompt_tokens": -2})", "truncate_prompt_tokens"},
      {R"({"model": "m", "input": "a", "user": 1})", "user"},
      {R"({"model": "m", "input": "a", "inputs": 1})", "inputs"},
  };
  for (const auto& [text, param] : wrong) {
    const Error found = error(text);
    EXPECT_EQ(found.code, ErrorCode::kInvalidArgument) << text;
    EXPECT_EQ(found.param, param) << text << ": " << found.message;
  }
  Json many = {{"model", "m"}, {"input", Json::array()}};
  for (int i = 0; i < 2048; ++i) many["input"].push_back("a");
  EXPECT_TRUE(parse_embeddings_request(many));
  many["input"].push_back("a");
  EXPECT_THAT(parse_embeddings_request(many).error().message, HasSubstr("2049 elements, but at most 2048"));
}

TEST(EmbeddingsReply, Numbers) {
  const float awkward[] = {0.1f, -0.0f, 1e-30f, 3.4028235e38f, 1.0f, -1.17549435e-38f};
  const std::vector<float> vector(std::begin(awkward), std::end(awkward));
  const Json reply = Json::parse(embeddings_reply({.vectors = {vector, {2.0f}}, .prompt_tokens = 7}, false, "a\"b"));
  EXPECT_EQ(reply["object"], "list");
  EXPECT_EQ(reply["model"], "a\"b");
  EXPECT_EQ(reply["usage"], (Json{{"prompt_tokens", 7}, {"total_tokens", 7}}));
  ASSERT_EQ(reply["data"].size(), 2u);
  EXPECT_EQ(reply["data"][1], (Json{{"object", "embedding"}, {"index", 1}, {"embedding", {2.0}}}));
  EXPECT_EQ(reply["data"][0]["embedding"].get<std::vector<float>>(), vector);
  EXPECT_EQ(Json::parse(embeddings_reply({}, false, "m"))["data"], Json::array());
}

TEST(EmbeddingsReply, Base64OfLittleEndianFloats) {
  const auto text = [](std::vector<float> vector) {
    return Json::parse(embeddings_reply({.vectors = {std::move(vector)}}, true, "m"))["data"][0]["embedding"];
  };
  // python3 -c "import base64, struct; print(base64.b64encode(struct.pack('<3f', 1, -2.5, 0.1)))" and so on
  EXPECT_EQ(text({1.0f}), "AACAPw==");
  EXPECT_EQ(text({1.0f, -2.5f}), "AACAPwAAIMA=");
  EXPECT_EQ(text({1.0f, -2.5f, 0.1f}), "AACAPwAAIMDNzMw9");
}

}  // namespace
}  // namespace tenon::server
