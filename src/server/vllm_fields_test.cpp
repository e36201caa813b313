// Parameters that vLLM's clients send: what they mean, and the values that ask for nothing.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "server/logprobs.h"
#include "server/openai.h"

namespace tenon::server {
namespace {

Result<ParsedRequest> chat(const char* more, const RequestDefaults& defaults = {}) {
  Json body = Json::parse(R"({"model": "m", "messages": [{"role": "user", "content": "hi"},
                                                         {"role": "assistant", "content": "Hel"}]})");
  body.update(Json::parse(more));
  return parse_chat_request(body, defaults);
}

Result<ParsedRequest> text(const char* more) {
  Json body = Json::parse(R"({"model": "m", "prompt": "hi"})");
  body.update(Json::parse(more));
  return parse_completion_request(body);
}

template <class T>
std::string refused(const T& parsed) {
  return parsed ? "accepted" : parsed.error().param;
}

chat::RenderInput input(const char* more, const RequestDefaults& defaults = {}) {
  const auto parsed = chat(more, defaults);
  EXPECT_TRUE(parsed) << more << ": " << parsed.error().message;
  return parsed ? std::get<chat::RenderInput>(parsed->prompts[0].value) : chat::RenderInput{};
}

TEST(VllmFields, TheFinalMessageGoesOnInsteadOfANewOne) {
  EXPECT_TRUE(input("{}").add_generation_prompt);
  EXPECT_FALSE(input("{}").continue_final_message);
  for (const char* more :
       {R"({"continue_final_message": true})", R"({"continue_final_message": true, "add_generation_prompt": false})"}) {
    EXPECT_TRUE(input(more).continue_final_message);
    EXPECT_FALSE(input(more).add_generation_prompt);
  }
  EXPECT_TRUE(input(R"({"continue_final_message": false, "add_generation_prompt": true})").add_generation_prompt);
  EXPECT_EQ(refused(chat(R"({"continue_final_message": true, "add_generation_prompt": true})")),
            "continue_final_message");
}

TEST(VllmFields, EchoBeginsAChatReplyWithAnAssistantsLastMessage) {
  EXPECT_EQ(chat("{}")->echoed, "");
  EXPECT_EQ(chat(R"({"echo": true})")->echoed, "Hel");
  EXPECT_EQ(chat(R"({"echo": true, "messages": [{"role": "user", "content": "hi"}]})")->echoed, "");
}

TEST(VllmFields, DocumentsGoToTheTemplateThatReadsThem) {
  const RequestDefaults reads = {.template_reads_documents = true};
  constexpr const char* kOne = R"({"documents": [{"title": "t", "text": "x"}]})";
  EXPECT_EQ(input(kOne, reads).kwargs["documents"][0]["text"], "x");
  EXPECT_EQ(refused(chat(kOne)), "documents");
  EXPECT_EQ(refused(chat(R"({"documents": ["x"]})", reads)), "documents");
  EXPECT_EQ(refused(chat(R"({"documents": [{}], "chat_template_kwargs": {"documents": []}})", reads)), "documents");
}

TEST(VllmFields, PromptsMayBeCutAndSpecialTokensLeftOut) {
  EXPECT_EQ(text(R"({"truncate_prompt_tokens": 5})")->truncate_prompt_tokens, 5);
  EXPECT_EQ(chat(R"({"truncate_prompt_tokens": -1})")->truncate_prompt_tokens, -1);
  EXPECT_FALSE(chat("{}")->truncate_prompt_tokens.has_value());
  EXPECT_EQ(refused(text(R"({"truncate_prompt_tokens": 0})")), "truncate_prompt_tokens");
  EXPECT_EQ(refused(text(R"({"truncate_prompt_tokens": -2})")), "truncate_prompt_tokens");
  EXPECT_EQ(text(R"({"add_special_tokens": false})")->prompts[0].add_special_tokens, false);
  EXPECT_EQ(chat(R"({"add_special_tokens": true})")->prompts[0].add_special_tokens, true);
  EXPECT_FALSE(chat("{}")->prompts[0].add_special_tokens.has_value());
}

TEST(VllmFields, BadWordsAndTokenIds) {
  EXPECT_THAT(chat(R"({"bad_words": ["a", " b"]})")->bad_words, testing::ElementsAre("a", " b"));
  EXPECT_TRUE(text(R"({"bad_words": []})")->bad_words.empty());
  const std::string many = "{\"bad_words\": " + Json(std::vector<std::string>(1025, "a")).dump() + "}";
  const std::string large = "{\"bad_words\": [\"" + std::string(257, 'a') + "\"]}";
  for (const char* more :
       {R"({"bad_words": "a"})", R"({"bad_words": [1]})", R"({"bad_words": [""]})", many.c_str(), large.c_str()}) {
    EXPECT_EQ(refused(text(more)), "bad_words");
  }
  EXPECT_TRUE(chat(R"({"return_token_ids": true})")->return_token_ids);
  EXPECT_TRUE(text(R"({"return_tokens_as_token_ids": true})")->return_tokens_as_token_ids);
  EXPECT_FALSE(text(R"({"return_token_ids": null})")->return_token_ids);
}

TEST(VllmFields, AllowedTokensAscend) {
  EXPECT_THAT(text(R"({"allowed_token_ids": [7, 3, 7, 5]})")->generate.sampling.allowed_tokens,
              testing::ElementsAre(3, 5, 7));
  for (const char* ids : {"[]", "5", "[-1]", R"(["a"])", "[1.5]"}) {
    EXPECT_EQ(refused(chat((std::string(R"({"allowed_token_ids": )") + ids + "}").c_str())), "allowed_token_ids")
        << ids;
  }
}

// They are looked through for every token.
TEST(VllmFields, StopTokensAreFew) {
  const auto some = [](std::size_t count) {
    return "{\"stop_token_ids\": " + Json(std::vector<int>(count, 5)).dump() + "}";
  };
  EXPECT_EQ(text(some(1024).c_str())->generate.stop_token_ids.size(), 1024u);
  EXPECT_EQ(refused(text(some(1025).c_str())), "stop_token_ids");
}

TEST(VllmFields, PromptLogprobsHaveTheirOwnCount) {
  EXPECT_EQ(chat("{}")->generate.prompt_logprobs, -1);
  EXPECT_EQ(chat(R"({"prompt_logprobs": 0})")->generate.prompt_logprobs, 0);
  EXPECT_EQ(text(R"({"prompt_logprobs": 2, "echo": true, "logprobs": 5})")->generate.prompt_logprobs, 5);
  EXPECT_EQ(text(R"({"prompt_logprobs": 5, "echo": true, "logprobs": 2})")->generate.prompt_logprobs, 5);
  EXPECT_EQ(text(R"({"prompt_logprobs": 2, "logprobs": 5})")->generate.prompt_logprobs, 2);
  for (const char* more : {R"({"prompt_logprobs": 21})", R"({"prompt_logprobs": -1})", R"({"prompt_logprobs": true})",
                           R"({"prompt_logprobs": 1, "stream": true})"}) {
    EXPECT_EQ(refused(text(more)), "prompt_logprobs");
    EXPECT_EQ(refused(chat(more)), "prompt_logprobs");
  }
}

TEST(VllmFields, PromptLogprobsInVllmsShape) {
  using generate::ScoredToken;
  const ScoredToken first{{.bytes = "<s>", .token = 1}};
  const ScoredToken third{{.bytes = "a", .logprob = -3.0f, .token = 7},
                          {{.bytes = "b", .logprob = -0.5f, .token = 9}, {.bytes = "c", .logprob = -1.0f, .token = 4}},
                          1,
                          3};
  EXPECT_TRUE(prompt_logprob(first, 2).is_null());
  EXPECT_EQ(prompt_logprob(third, 1), Json::parse(R"({"7": {"logprob": -3.0, "rank": 3, "decoded_token": "a"},
                                                      "9": {"logprob": -0.5, "rank": 1, "decoded_token": "b"}})"));
  EXPECT_EQ(prompt_logprob(third, 0).size(), 1u);
  EXPECT_EQ(chat_logprobs(std::vector{third}, true)["content"][0]["top_logprobs"][1]["token"], "token_id:4");
  std::int64_t offset = 0;
  EXPECT_EQ(text_logprobs(std::vector{third}, offset, true)["top_logprobs"][0],
            Json::parse(R"({"token_id:9": -0.5, "token_id:4": -1.0, "token_id:7": -3.0})"));
}

TEST(VllmFields, IdsAndPromptsInReplies) {
  const ChoiceJson choice{.text = "x",
                          .token_ids = Json::array({5}),
                          .prompt_token_ids = Json::array({1, 2}),
                          .prompt_logprobs = Json::array({nullptr})};
  const Json of_chat = reply_object({.chat = true}, {choice}, {});
  EXPECT_EQ(of_chat["choices"][0]["token_ids"], Json::array({5}));
  EXPECT_EQ(of_chat["prompt_token_ids"], Json::array({1, 2}));
  EXPECT_EQ(of_chat["prompt_logprobs"], Json::array({nullptr}));
  const Json of_text = reply_object({.chat = false}, {choice}, {})["choices"][0];
  EXPECT_EQ(of_text["prompt_token_ids"], Json::array({1, 2}));
  EXPECT_EQ(of_text["prompt_logprobs"], Json::array({nullptr}));
  EXPECT_EQ(choice_chunk({.chat = true}, choice)["prompt_token_ids"], Json::array({1, 2}));
  EXPECT_FALSE(reply_object({.chat = true}, {{.text = "x"}}, {}).dump().contains("token_ids"));
}

// SDKs send the defaults of all parameters that they know.
TEST(VllmFields, ValuesThatAskForNothingAreTaken) {
  constexpr const char* kBoth = R"({
    "use_beam_search": false, "length_penalty": 1.0, "early_stopping": false, "logits_processors": [],
    "allowed_token_ids": null, "logprob_token_ids": null, "truncation_side": "left", "thinking_token_budget": -1,
    "repetition_detection": null, "watermarking": false, "stream_interval": 1, "prompt_embeds": null,
    "mm_processor_kwargs": {}, "media_io_kwargs": {}, "kv_transfer_params": {}, "ec_transfer_params": {},
    "vllm_xargs": {}, "spaces_between_special_tokens": false, "session_id": "s", "user": "u", "prompt_cache_retention": "24h", "priority": 0,
    "min_p": 0, "stop": [], "stop_token_ids": [], "ignore_eos": false, "min_tokens": 0, "cache_salt": null,
    "stream": false, "stream_options": {}, "truncate_prompt_tokens": null})";
  EXPECT_TRUE(chat(kBoth)) << chat(kBoth).error().message;
  EXPECT_TRUE(text(kBoth)) << text(kBoth).error().message;
  const auto of_chat = chat(R"({
    "functions": [], "function_call": "none", "include_reasoning": true, "chat_template": "", "documents": [],
    "chat_template_kwargs": {}, "echo": false, "add_special_tokens": false, "prediction": {"type": "content",
    "content": "x"}, "modalities": ["text"], "audio": null, "web_search_options": null, "verbosity": "medium",
    "store": false, "service_tier": "default", "stream_options": {"include_usage": false}})");
  EXPECT_TRUE(of_chat) << of_chat.error().message;
}

TEST(VllmFields, WhatIsNotSupportedIsRefusedByName) {
  const std::pair<const char*, const char*> cases[] = {{"use_beam_search", "true"},
                                                       {"length_penalty", "0.8"},
                                                       {"early_stopping", "true"},
                                                       {"logits_processors", R"(["x"])"},
                                                       {"logprob_token_ids", "[1]"},
                                                       {"truncation_side", R"("right")"},
                                                       {"thinking_token_budget", "5"},
                                                       {"repetition_detection", R"({"x": 1})"},
                                                       {"watermarking", "true"},
                                                       {"stream_interval", "4"},
                                                       {"prompt_embeds", R"("x")"},
                                                       {"mm_processor_kwargs", R"({"x": 1})"},
                                                       {"media_io_kwargs", R"({"x": 1})"},
                                                       {"kv_transfer_params", R"({"x": 1})"},
                                                       {"ec_transfer_params", R"({"x": 1})"},
                                                       {"vllm_xargs", R"({"x": 1})"}};
  for (const auto& [param, value] : cases) {
    const std::string more = std::string("{\"") + param + "\": " + value + "}";
    for (const auto& parsed : {chat(more.c_str()), text(more.c_str())}) {
      ASSERT_FALSE(parsed) << more;
      EXPECT_EQ(parsed.error().param, param);
      EXPECT_EQ(parsed.error().code, ErrorCode::kUnsupported);
    }
  }
  for (const char* param : {"chat_template", "include_reasoning", "functions", "function_call"}) {
    const std::string more = std::string("{\"") + param + "\": \"x\"}";
    const auto parsed = chat(more.c_str());
    ASSERT_FALSE(parsed) << more;
    EXPECT_EQ(parsed.error().param, param);
    EXPECT_EQ(parsed.error().code, ErrorCode::kUnsupported);
  }
}

}  // namespace
}  // namespace tenon::server
