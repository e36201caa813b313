// Integers as clients of many languages write them.
#include "server/fields.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server/embeddings.h"
#include "server/openai.h"
#include "server/responses_request.h"

namespace tenon::server {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(WholeNumber, MayBeWrittenAsAFloat) {
  const std::pair<const char*, std::int64_t> whole[] = {{"2", 2},
                                                        {"2.0", 2},
                                                        {"-3e0", -3},
                                                        {"-0.0", 0},
                                                        {"1e3", 1000},
                                                        {"9007199254740992.0", std::int64_t{1} << 53},
                                                        {"9223372036854775807", INT64_MAX},
                                                        {"-9223372036854775808", INT64_MIN},
                                                        {"-9223372036854775808.0", INT64_MIN}};
  for (const auto& [text, value] : whole) EXPECT_EQ(whole_number(Json::parse(text)), value) << text;
  for (const char* text : {"1.5", "-0.1", "1e300", "9223372036854775808", "9223372036854775808.0", "true", "\"2\"",
                           "null", "[2]", "{}", "1e-300"}) {
    EXPECT_EQ(whole_number(Json::parse(text)), std::nullopt) << text;
  }
  EXPECT_EQ(whole_number(std::numeric_limits<double>::quiet_NaN()), std::nullopt);
  EXPECT_EQ(whole_number(std::numeric_limits<double>::infinity()), std::nullopt);
}

TEST(WholeNumber, IsTakenWhereverAnIntegerIs) {
  const auto chat = parse_chat_request(Json::parse(R"({"model": "m", "messages": [{"role": "user", "content": "hi"}],
      "max_completion_tokens": 8.0, "n": 2.0, "seed": -7.0, "top_k": 3.0, "priority": 1.0, "logprobs": true,
      "top_logprobs": 4.0, "min_tokens": 1.0, "stop_token_ids": [5.0], "prompt_logprobs": 1.0})"));
  ASSERT_TRUE(chat) << chat.error().message;
  EXPECT_EQ(chat->generate.max_tokens, 8);
  EXPECT_EQ(chat->n, 2);
  EXPECT_EQ(chat->generate.sampling.seed, static_cast<std::uint64_t>(-7));
  EXPECT_EQ(chat->generate.sampling.top_k, 3);
  EXPECT_EQ(chat->generate.sampling.top_logprobs, 4);
  EXPECT_THAT(chat->generate.stop_token_ids, ElementsAre(5));
  const auto text = parse_completion_request(
      Json::parse(R"({"model": "m", "prompt": [1.0, 2], "max_tokens": 2.0, "logprobs": 3.0})"));
  ASSERT_TRUE(text) << text.error().message;
  EXPECT_THAT(std::get<std::vector<std::int32_t>>(text->prompts[0].value), ElementsAre(1, 2));
  EXPECT_EQ(text->generate.max_tokens, 2);
  const auto embed = parse_embeddings_request(Json::parse(R"({"model": "m", "input": [[3.0]], "dimensions": 64.0})"));
  ASSERT_TRUE(embed) << embed.error().message;
  EXPECT_EQ(embed->embed.dimensions, 64);
  // Clients with types read the reply's as integers.
  const auto response = parse_responses_request(
      Json::parse(R"({"model": "m", "input": "hi", "max_output_tokens": 16.0, "top_logprobs": 2.0,
                      "include": ["message.output_text.logprobs"]})"),
      {}, {});
  ASSERT_TRUE(response) << response.error().message;
  EXPECT_EQ(response->response["max_output_tokens"].dump(), "16");
  EXPECT_EQ(response->response["top_logprobs"].dump(), "2");
}

TEST(WholeNumber, OthersAreRefusedByName) {
  const std::pair<const char*, const char*> wrong[] = {{"1.5", "must be an integer"},
                                                       {"\"2\"", "must be an integer"},
                                                       {"true", "must be an integer"},
                                                       {"1e300", "must be between 1 and 128, not 1e+300"},
                                                       {"129.0", "must be between 1 and 128, not 129.0"},
                                                       {"18446744073709551615", "must be between 1 and 128"}};
  for (const auto& [value, message] : wrong) {
    const auto parsed =
        parse_completion_request(Json::parse(std::string(R"({"model": "m", "prompt": "hi", "n": )") + value + "}"));
    ASSERT_FALSE(parsed) << value;
    EXPECT_EQ(parsed.error().param, "n") << value;
    EXPECT_THAT(parsed.error().message, HasSubstr(message));
  }
}

}  // namespace
}  // namespace tenon::server
