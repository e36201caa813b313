#include "server/answer_limits.h"

#include <gtest/gtest.h>

namespace tenon::server {
namespace {

std::vector<generate::EncodedPrompt> prompts(std::size_t count, std::size_t tokens, bool chat = false) {
  return std::vector<generate::EncodedPrompt>(count, {.ids = std::vector<std::int32_t>(tokens), .chat = chat});
}

std::string refused(const ParsedRequest& request, const std::vector<generate::EncodedPrompt>& prompts,
                    std::size_t form = 0, std::int64_t context = 4096) {
  const auto checked = check_memory(request, prompts, form, context);
  return checked ? "" : checked.error().param;
}

TEST(AnswerLimits, PromptsOfAllChoices) {
  ParsedRequest request;
  EXPECT_EQ(refused(request, prompts(1, 4 << 20)), "");
  EXPECT_EQ(refused(request, prompts(2048, 2048)), "");
  EXPECT_EQ(refused(request, prompts(2048, 2049)), "prompt");
  request.n = 128;
  EXPECT_EQ(refused(request, prompts(1, 32768)), "");
  EXPECT_EQ(refused(request, prompts(1, 32769)), "n");
  EXPECT_EQ(refused(request, prompts(1, 32769, true)), "n");
}

TEST(AnswerLimits, BadWordsAndStopTokensOfAllChoices) {
  ParsedRequest request;
  request.n = 128;
  request.generate.stop_token_ids.resize(1024);
  request.generate.sampling.bad_words.assign(2047, {1});
  EXPECT_EQ(refused(request, prompts(10, 200)), "");
  request.generate.sampling.bad_words.assign(2047, {1, 2});
  EXPECT_EQ(refused(request, prompts(10, 200)), "n");
  request.n = 1;
  EXPECT_EQ(refused(request, prompts(10, 200)), "");
}

TEST(AnswerLimits, FormsOfAllChoices) {
  ParsedRequest request;
  EXPECT_EQ(refused(request, prompts(2048, 1), 16 << 10), "");
  EXPECT_EQ(refused(request, prompts(2048, 1), (16 << 10) + 1), "prompt");
  request.n = 128;
  EXPECT_EQ(refused(request, prompts(1, 1), 256 << 10), "");
  EXPECT_EQ(refused(request, prompts(2, 1), 256 << 10), "n");
}

TEST(AnswerLimits, PromptLogprobs) {
  ParsedRequest request;
  request.n = 4;
  request.prompt_logprobs = 15;
  EXPECT_EQ(refused(request, prompts(1, 4096)), "");
  EXPECT_EQ(refused(request, prompts(1, 4097)), "prompt_logprobs");
  // The answer of a chat has them once.
  EXPECT_EQ(refused(request, prompts(1, 4 * 4096, true)), "");
  EXPECT_EQ(refused(request, prompts(1, 4 * 4096 + 1, true)), "prompt_logprobs");
}

TEST(AnswerLimits, LogprobsOfAnEcho) {
  ParsedRequest request;
  request.n = 8;
  request.logprobs = true;
  request.generate.sampling.top_logprobs = 15;
  EXPECT_EQ(refused(request, prompts(1, 8193)), "");
  request.echo = true;
  EXPECT_EQ(refused(request, prompts(1, 8192)), "");
  EXPECT_EQ(refused(request, prompts(1, 8193)), "logprobs");
  request.logprobs = false;
  EXPECT_EQ(refused(request, prompts(1, 8193)), "");
}

TEST(AnswerLimits, LogprobsOfReplies) {
  ParsedRequest request;
  request.n = 128;
  request.logprobs = true;
  request.generate.sampling.top_logprobs = 7;
  EXPECT_EQ(refused(request, prompts(1, 100), 0, 3072 + 100), "");
  EXPECT_EQ(refused(request, prompts(1, 100), 0, 3072 + 101), "logprobs");
  EXPECT_EQ(refused(request, prompts(1, 100, true), 0, 3072 + 101), "top_logprobs");
  request.generate.max_tokens = 3072;  // of the request, where it is less than the context leaves
  EXPECT_EQ(refused(request, prompts(1, 100), 0, 100000), "");
  request.generate.max_tokens = 3073;
  EXPECT_EQ(refused(request, prompts(1, 100), 0, 100000), "logprobs");
  EXPECT_EQ(refused(request, prompts(1, 30000 - 3072), 0, 30000), "");
  // A stream sends them as they come, but that of a response repeats all at its end.
  request.stream = true;
  EXPECT_EQ(refused(request, prompts(1, 100, true), 0, 100000), "");
  request.response = {{"store", false}};
  EXPECT_EQ(refused(request, prompts(1, 100, true), 0, 100000), "top_logprobs");
  request.logprobs = false;
  EXPECT_EQ(refused(request, prompts(1, 100, true), 0, 100000), "");
}

TEST(AnswerLimits, OneReplyMayHaveAllLogprobsOfALongContext) {
  ParsedRequest request;
  request.logprobs = true;
  request.generate.sampling.top_logprobs = sampler::kMaxTopLogprobs;
  EXPECT_EQ(refused(request, prompts(1, 10, true), 0, 131072), "");
}

}  // namespace
}  // namespace tenon::server
