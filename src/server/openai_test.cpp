#include "server/openai.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>

#include "server/logprobs.h"

namespace tenon::server {
namespace {

using testing::AllOf;
using testing::ElementsAre;
using testing::HasSubstr;

const Json kChat = Json::parse(R"({"model": "m", "messages": [{"role": "user", "content": "hi"}]})");
const Json kText = Json::parse(R"({"model": "m", "prompt": "hi"})");

// The base body with the fields of `more` set.
Json with(Json body, const char* more) {
  const Json fields = Json::parse(more);
  for (const auto& [key, value] : fields.items()) body[key] = value;
  return body;
}

ParsedRequest chat(const char* more) {
  auto parsed = parse_chat_request(with(kChat, more));
  EXPECT_TRUE(parsed) << more << ": " << parsed.error().message;
  return parsed ? std::move(*parsed) : ParsedRequest{};
}

ParsedRequest text(const char* more) {
  auto parsed = parse_completion_request(with(kText, more));
  EXPECT_TRUE(parsed) << more << ": " << parsed.error().message;
  return parsed ? std::move(*parsed) : ParsedRequest{};
}

Error refused(const Result<ParsedRequest>& parsed) {
  EXPECT_FALSE(parsed) << "accepted";
  return parsed ? Error{ErrorCode::kInternal, "accepted"} : parsed.error();
}

TEST(OpenAiRequest, DefaultsOfChat) {
  const ParsedRequest request = chat("{}");
  EXPECT_EQ(request.model, "m");
  EXPECT_FALSE(request.stream);
  EXPECT_FALSE(request.include_usage);
  EXPECT_FALSE(request.generate.max_tokens.has_value());
  const auto& input = std::get<chat::RenderInput>(request.prompts[0].value);
  EXPECT_EQ(input.messages, kChat["messages"]);
  EXPECT_TRUE(input.add_generation_prompt);
}

TEST(OpenAiRequest, DefaultsOfTextCompletions) {
  const ParsedRequest request = text("{}");
  EXPECT_EQ(request.generate.max_tokens, 16);
  EXPECT_EQ(std::get<std::string>(request.prompts[0].value), "hi");
}

TEST(OpenAiRequest, ReadsEveryParameter) {
  const ParsedRequest request = chat(R"({
    "temperature": 0.5, "top_p": 0.9, "min_p": 0.1, "top_k": 40, "seed": -7, "stop": ["a", "b"],
    "stop_token_ids": [3, 4], "ignore_eos": true, "skip_special_tokens": false, "max_tokens": 5, "stream": true,
    "stream_options": {"include_usage": true, "continuous_usage_stats": true}, "add_generation_prompt": false, "user": "u",
    "chat_template_kwargs": {"enable_thinking": false}})");
  const auto& generate = request.generate;
  EXPECT_FLOAT_EQ(generate.sampling.temperature, 0.5f);
  EXPECT_FLOAT_EQ(generate.sampling.top_p, 0.9f);
  EXPECT_FLOAT_EQ(generate.sampling.min_p, 0.1f);
  EXPECT_EQ(generate.sampling.top_k, 40);
  EXPECT_EQ(generate.sampling.seed, static_cast<std::uint64_t>(-7));
  EXPECT_THAT(generate.stop, ElementsAre("a", "b"));
  EXPECT_THAT(generate.stop_token_ids, ElementsAre(3, 4));
  EXPECT_TRUE(generate.ignore_eos);
  EXPECT_FALSE(generate.skip_special_tokens);
  EXPECT_EQ(generate.max_tokens, 5);
  EXPECT_TRUE(request.stream);
  EXPECT_TRUE(request.include_usage);
  EXPECT_TRUE(request.continuous_usage);
  const auto& input = std::get<chat::RenderInput>(request.prompts[0].value);
  EXPECT_FALSE(input.add_generation_prompt);
  EXPECT_EQ(input.kwargs["enable_thinking"], false);
}

TEST(OpenAiRequest, NullCountsAsAbsent) {
  const ParsedRequest request = chat(R"({
    "temperature": null, "seed": null, "stop": null, "max_tokens": null, "stream": null, "stream_options": null,
    "tools": null, "n": null, "response_format": null, "logit_bias": null, "user": null})");
  EXPECT_FALSE(request.generate.max_tokens.has_value());
  EXPECT_TRUE(request.generate.stop.empty());
  EXPECT_EQ(refused(parse_chat_request(with(kChat, R"({"model": null})"))).param, "model");
}

TEST(OpenAiRequest, MaxCompletionTokensIsTheNewNameOfMaxTokens) {
  EXPECT_EQ(chat(R"({"max_completion_tokens": 9})").generate.max_tokens, 9);
  EXPECT_EQ(chat(R"({"max_tokens": 9, "max_completion_tokens": 9})").generate.max_tokens, 9);
  EXPECT_EQ(refused(parse_chat_request(with(kChat, R"({"max_tokens": 3, "max_completion_tokens": 9})"))).param,
            "max_completion_tokens");
}

TEST(OpenAiRequest, UnseededRequestsDiffer) {
  EXPECT_NE(chat("{}").generate.sampling.seed, chat("{}").generate.sampling.seed);
}

TEST(OpenAiRequest, StopIsOneStringOrSeveral) {
  EXPECT_THAT(chat(R"({"stop": "x"})").generate.stop, ElementsAre("x"));
  EXPECT_TRUE(chat(R"({"stop": []})").generate.stop.empty());
}

TEST(OpenAiRequest, TopKMinusOneIsOff) { EXPECT_EQ(chat(R"({"top_k": -1})").generate.sampling.top_k, 0); }

TEST(OpenAiRequest, WrongTypesAndRangesNameTheParameter) {
  const std::pair<const char*, const char*> cases[] = {
      {"model", R"(3)"},
      {"temperature", R"("hot")"},
      {"temperature", R"(-0.1)"},
      {"temperature", R"(2.5)"},
      {"temperature", R"(1e400)"},
      {"top_p", R"(0)"},
      {"top_p", R"(1.01)"},
      {"top_p", R"([])"},
      {"min_p", R"(2)"},
      {"top_k", R"(1.5)"},
      {"top_k", R"(-2)"},
      {"top_k", R"(99999999999)"},
      {"seed", R"("7")"},
      {"seed", R"(18446744073709551615)"},
      {"seed", R"(123456789012345678901234567890)"},
      {"max_tokens", R"(0)"},
      {"max_tokens", R"(-1)"},
      {"max_tokens", R"(true)"},
      {"max_tokens", R"(18446744073709551615)"},
      {"stop", R"(5)"},
      {"stop", R"([1])"},
      {"stop", R"("")"},
      {"stop", R"(["1","2","3","4","5","6","7","8","9","10","11","12","13","14","15","16","17"])"},
      {"stop_token_ids", R"(5)"},
      {"stop_token_ids", R"([-1])"},
      {"stop_token_ids", R"([18446744073709551615])"},
      {"ignore_eos", R"("yes")"},
      {"skip_special_tokens", R"(1)"},
      {"stream", R"("true")"},
      {"stream_options", R"({"include_usage": true})"},  // without stream
      {"user", R"(5)"},
      {"n", R"(0)"},
      {"n", R"(129)"},
      {"n", R"("two")"},
      {"frequency_penalty", R"(2.5)"},
      {"presence_penalty", R"(-3)"},
      {"repetition_penalty", R"(0)"},
      {"repetition_penalty", R"(-1)"},
      {"logit_bias", R"([])"},
      {"logit_bias", R"({"x": 1})"},
      {"logit_bias", R"({"-1": 1})"},
      {"logit_bias", R"({"5": 101})"},
      {"logit_bias", R"({"5": "1"})"},
      {"min_tokens", R"(-1)"},
      {"include_stop_str_in_output", R"(1)"},
  };
  for (const auto& [param, value] : cases) {
    SCOPED_TRACE(std::string(param) + " = " + value);
    Json parsed_value;
    try {
      parsed_value = Json::parse(value);
    } catch (const Json::exception&) {
      continue;  // not JSON at all: refused before this code
    }
    for (const bool is_chat : {true, false}) {
      Json body = is_chat ? kChat : kText;
      body[param] = parsed_value;
      const Error error = refused(is_chat ? parse_chat_request(body) : parse_completion_request(body));
      EXPECT_EQ(error.code, ErrorCode::kInvalidArgument);
      EXPECT_EQ(error.param, param);
      EXPECT_THAT(error.message, HasSubstr(param));
    }
  }
}

TEST(OpenAiRequest, AStopStringMayHave256Bytes) {
  Json body = kChat;
  body["stop"] = std::string(256, 'x');
  EXPECT_TRUE(parse_chat_request(body));
  body["stop"] = std::string(257, 'x');
  EXPECT_EQ(refused(parse_chat_request(body)).param, "stop");
}

TEST(OpenAiRequest, UnknownParametersAreErrorsThatGuess) {
  Error error = refused(parse_chat_request(with(kChat, R"({"temprature": 1})")));
  EXPECT_EQ(error.param, "temprature");
  EXPECT_THAT(error.message, AllOf(HasSubstr("unknown parameter 'temprature'"), HasSubstr("'temperature'")));
  error = refused(parse_completion_request(with(kText, R"({"promt": "x"})")));
  EXPECT_THAT(error.message, HasSubstr("'prompt'"));
  error = refused(parse_chat_request(with(kChat, R"({"zzzzzzzzzzzz": 1})")));
  EXPECT_THAT(error.message, testing::Not(HasSubstr("did you mean")));
  error = refused(parse_chat_request(with(kChat, R"({"stream": true, "stream_options": {"include_usag": true}})")));
  EXPECT_THAT(error.message, HasSubstr("'include_usage'"));
  EXPECT_EQ(refused(parse_completion_request(with(kText, R"({"messages": []})"))).param, "messages");
}

TEST(OpenAiRequest, WhatIsNotSupportedIsRefusedByName) {
  const std::pair<const char*, const char*> cases[] = {
      {"tools", R"([{"type": "function", "function": {"name": "f"}}])"},
      {"response_format", R"({"type": "structural_tag"})"},
      {"structured_outputs", R"({"json": {}, "whitespace_pattern": "x"})"},
      {"guided_whitespace_pattern", R"(" ")"},
      {"modalities", R"(["audio"])"},
      {"reasoning_effort", R"("low")"},
      {"store", "true"},
  };
  for (const auto& [param, value] : cases) {
    SCOPED_TRACE(param);
    Json body = kChat;
    body[param] = Json::parse(value);
    const Error error = refused(parse_chat_request(body));
    EXPECT_EQ(error.code, ErrorCode::kUnsupported);
    EXPECT_EQ(error.param, param);
  }
  for (const char* more : {R"({"suffix": "x"})", R"({"best_of": 2})"}) {
    EXPECT_EQ(refused(parse_completion_request(with(kText, more))).code, ErrorCode::kUnsupported) << more;
  }
}

TEST(OpenAiRequest, NeutralValuesOfWhatIsNotSupportedPass) {
  chat(R"({"n": 1, "frequency_penalty": 0, "presence_penalty": 0.0, "repetition_penalty": 1.0, "logit_bias": {},
           "logprobs": false, "tools": [], "tool_choice": "none", "response_format": {"type": "text"},
           "modalities": ["text"], "store": false, "metadata": {"a": "b"}, "service_tier": "auto",
           "prompt_cache_key": "k", "safety_identifier": "s", "verbosity": "medium", "stream": true,
           "prompt_cache_options": {"mode": "implicit", "ttl": "30m"}, "moderation": null, "reasoning_effort": "none",
           "stream_options": {"include_obfuscation": false}})");
  EXPECT_TRUE(chat(R"({"tools": [], "tool_choice": "auto"})").tools.empty());
  text(R"({"echo": false, "suffix": "", "best_of": 1})");
}

TEST(OpenAiRequest, PromptsAreTextOrIds) {
  EXPECT_EQ(std::get<std::string>(text(R"({"prompt": ["one"]})").prompts[0].value), "one");
  EXPECT_THAT(std::get<std::vector<std::int32_t>>(text(R"({"prompt": [1, 2]})").prompts[0].value), ElementsAre(1, 2));
  EXPECT_THAT(std::get<std::vector<std::int32_t>>(text(R"({"prompt": [[5, 6]]})").prompts[0].value), ElementsAre(5, 6));
  for (const char* prompt : {"5", "{}", "[]", "[[]]", "[1, -2]", "[1, 2.5]", R"([1, "x"])", "[1, 4294967296]",
                             "[18446744073709551615]", "[null]", "[true]"}) {
    Json body = kText;
    body["prompt"] = Json::parse(prompt);
    EXPECT_EQ(refused(parse_completion_request(body)).param, "prompt") << prompt;
  }
}

TEST(OpenAiRequest, PenaltiesAndBiases) {
  const ParsedRequest request = chat(R"({"frequency_penalty": 0.5, "presence_penalty": -1, "repetition_penalty": 1.25,
      "logit_bias": {"5": 1.5, "70": -100}, "min_tokens": 3, "include_stop_str_in_output": true, "n": 3})");
  const auto& sampling = request.generate.sampling;
  EXPECT_EQ(sampling.frequency_penalty, 0.5f);
  EXPECT_EQ(sampling.presence_penalty, -1.0f);
  EXPECT_EQ(sampling.repetition_penalty, 1.25f);
  EXPECT_THAT(sampling.logit_bias, ElementsAre(testing::Pair(5, 1.5f), testing::Pair(70, -100.0f)));
  EXPECT_EQ(request.generate.min_tokens, 3);
  EXPECT_TRUE(request.generate.include_stop);
  EXPECT_EQ(request.n, 3);
  EXPECT_EQ(refused(parse_chat_request(with(kChat, R"({"min_tokens": 5, "max_completion_tokens": 4})"))).param,
            "min_tokens");
  EXPECT_EQ(refused(parse_completion_request(with(kText, R"({"min_tokens": 17})"))).param, "min_tokens");
}

TEST(OpenAiRequest, LogprobsOfChat) {
  EXPECT_EQ(chat("{}").generate.sampling.top_logprobs, -1);
  EXPECT_EQ(chat(R"({"logprobs": true})").generate.sampling.top_logprobs, 0);
  EXPECT_EQ(chat(R"({"logprobs": true, "top_logprobs": 20})").generate.sampling.top_logprobs, 20);
  for (const char* more : {R"({"top_logprobs": 3})", R"({"logprobs": true, "top_logprobs": 21})",
                           R"({"logprobs": true, "top_logprobs": -1})"}) {
    EXPECT_EQ(refused(parse_chat_request(with(kChat, more))).param, "top_logprobs");
  }
  EXPECT_EQ(refused(parse_chat_request(with(kChat, R"({"logprobs": 3})"))).param, "logprobs");
}

TEST(OpenAiRequest, LogprobsAndEchoOfTextCompletions) {
  const ParsedRequest request = text(R"({"logprobs": 2, "echo": true, "max_tokens": 0})");
  EXPECT_TRUE(request.echo);
  EXPECT_EQ(request.generate.sampling.top_logprobs, 2);
  EXPECT_EQ(request.generate.prompt_logprobs, 2);
  EXPECT_EQ(request.generate.max_tokens, 0);
  EXPECT_EQ(text(R"({"logprobs": 0})").generate.prompt_logprobs, -1);
  EXPECT_EQ(refused(parse_completion_request(with(kText, R"({"logprobs": 21})"))).param, "logprobs");
  EXPECT_EQ(refused(parse_completion_request(with(kText, R"({"logprobs": true})"))).param, "logprobs");
  EXPECT_EQ(refused(parse_completion_request(with(kText, R"({"max_tokens": 0})"))).param, "max_tokens");
}

TEST(OpenAiRequest, SeveralPrompts) {
  const ParsedRequest strings = text(R"({"prompt": ["one", "two"]})");
  ASSERT_EQ(strings.prompts.size(), 2u);
  EXPECT_EQ(std::get<std::string>(strings.prompts[1].value), "two");
  const ParsedRequest ids = text(R"({"prompt": [[1, 2], [3]]})");
  ASSERT_EQ(ids.prompts.size(), 2u);
  EXPECT_THAT(std::get<std::vector<std::int32_t>>(ids.prompts[1].value), ElementsAre(3));
  for (const char* prompt : {R"(["a", 5])", R"([[1], []])", R"([[1], [2, "x"]])", R"([["a"]])", R"([1, [2]])"}) {
    Json body = kText;
    body["prompt"] = Json::parse(prompt);
    EXPECT_EQ(refused(parse_completion_request(body)).param, "prompt") << prompt;
  }
  Json body = kText;
  body["prompt"] = std::vector<std::string>(100, "x");
  body["n"] = 100;
  EXPECT_EQ(refused(parse_completion_request(body)).param, "n");
}

const chat::ReplyFormat kHermes{.tools = "hermes"};
constexpr const char* kTools = R"({"tools": [{"type": "function", "function": {"name": "f", "parameters": {}}}]})";

TEST(OpenAiRequest, ToolsGoToTheTemplate) {
  Json body = with(kChat, kTools);
  const auto request = *parse_chat_request(body, {}, kHermes);
  EXPECT_THAT(request.tools, testing::ElementsAre("f"));
  EXPECT_EQ(std::get<chat::RenderInput>(request.prompts[0].value).tools, body["tools"]);
  EXPECT_TRUE(request.generate.skip_special_tokens);
  EXPECT_FALSE(parse_chat_request(body, {}, {.tools = "mistral"})->generate.skip_special_tokens);
  body["tool_choice"] = "none";
  const auto none = *parse_chat_request(body, {}, kHermes);
  EXPECT_TRUE(none.tools.empty());
  EXPECT_TRUE(std::get<chat::RenderInput>(none.prompts[0].value).tools.is_null());
  body["tool_choice"] = "auto";
  body["parallel_tool_calls"] = false;
  EXPECT_FALSE(parse_chat_request(body, {}, kHermes)->parallel_tool_calls);
}

TEST(OpenAiRequest, BadTools) {
  for (const char* tools :
       {"5", "[5]", "[{}]", R"([{"type": "function"}])", R"([{"type": "x", "function": {}}])",
        R"([{"type": "function", "function": {}}])", R"([{"type": "function", "function": {"name": ""}}])",
        R"([{"type": "function", "function": {"name": "f", "parameters": 3}}])"}) {
    Json body = kChat;
    body["tools"] = Json::parse(tools);
    EXPECT_EQ(refused(parse_chat_request(body, {}, kHermes)).param, "tools") << tools;
  }
  EXPECT_EQ(refused(parse_chat_request(with(kChat, R"({"tool_choice": "maybe"})"))).param, "tool_choice");
  EXPECT_EQ(refused(parse_chat_request(with(kChat, R"({"tool_choice": "required"})"))).param, "tool_choice");
}

TEST(OpenAiRequest, ArgumentsOfEarlierCallsBecomeObjects) {
  const auto messages = [](const char* call) {
    Json body = kChat;
    body["messages"].push_back({{"role", "assistant"}, {"content", nullptr}, {"tool_calls", Json::parse(call)}});
    return body;
  };
  const auto request = *parse_chat_request(messages(R"([{"id": "1", "type": "function",
      "function": {"name": "f", "arguments": "{\"a\": [1]}"}}])"));
  EXPECT_EQ(std::get<chat::RenderInput>(request.prompts[0].value).messages[1]["tool_calls"][0]["function"]["arguments"],
            Json::parse(R"({"a": [1]})"));
  for (const char* bad :
       {"5", "[5]", "[{}]", R"([{"function": {}}])", R"([{"function": {"name": "f", "arguments": "{"}}])",
        R"([{"function": {"name": "f", "arguments": "[]"}}])"}) {
    EXPECT_EQ(refused(parse_chat_request(messages(bad))).param, "messages") << bad;
  }
}

TEST(OpenAiRequest, DefaultsAreTheModels) {
  RequestDefaults defaults;
  defaults.sampling = {.temperature = 0.6f, .top_k = 20, .top_p = 0.95f, .repetition_penalty = 1.1f};
  const auto sampling = parse_chat_request(with(kChat, R"({"top_p": 0.5})"), defaults)->generate.sampling;
  EXPECT_EQ(sampling.temperature, 0.6f);
  EXPECT_EQ(sampling.top_k, 20);
  EXPECT_EQ(sampling.top_p, 0.5f);
  EXPECT_EQ(sampling.repetition_penalty, 1.1f);
}

TEST(OpenAiRequest, PriorityTimeoutAndCacheSalt) {
  const auto parsed = parse_completion_request(
      Json::parse(R"({"model": "m", "prompt": "x", "priority": -3, "timeout": 2.5, "cache_salt": "tenant"})"));
  ASSERT_TRUE(parsed) << parsed.error().message;
  EXPECT_EQ(parsed->generate.priority, -3);
  EXPECT_EQ(parsed->generate.timeout, 2.5);
  EXPECT_EQ(parsed->generate.cache_salt, "tenant");
  for (const char* field : {R"("priority": 1.5)", R"("timeout": -1)", R"("cache_salt": 7)"}) {
    const std::string body = std::string(R"({"model": "m", "prompt": "x", )") + field + "}";
    const Error error = refused(parse_completion_request(Json::parse(body)));
    EXPECT_NE(std::string(field).find(error.param), std::string::npos) << error.message;
    EXPECT_FALSE(error.param.empty());
  }
}

TEST(OpenAiRequest, TheBodyMustBeAnObject) {
  for (const char* body : {"[]", "5", "null", R"("x")"}) {
    EXPECT_EQ(refused(parse_chat_request(Json::parse(body))).code, ErrorCode::kInvalidArgument);
    EXPECT_EQ(refused(parse_completion_request(Json::parse(body))).code, ErrorCode::kInvalidArgument);
  }
}

const ReplyIdentity kChatId{.chat = true, .id = "chatcmpl-1", .model = "m", .created = 5};
const ReplyIdentity kTextId{.chat = false, .id = "cmpl-1", .model = "m", .created = 5};

TEST(OpenAiReply, WholeReplies) {
  EXPECT_EQ(reply_object(kChatId, {{.text = "hey", .finish_reason = "stop", .stop_reason = "x"}}, {3, 4}),
            Json::parse(R"({
    "id": "chatcmpl-1", "object": "chat.completion", "created": 5, "model": "m",
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "hey", "refusal": null}, "logprobs": null,
                 "finish_reason": "stop", "stop_reason": "x"}],
    "usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7,
              "prompt_tokens_details": {"cached_tokens": 0}}})"));
  EXPECT_EQ(reply_object(kTextId, {{.text = "hey", .finish_reason = "length"}}, {3, 4}), Json::parse(R"({
    "id": "cmpl-1", "object": "text_completion", "created": 5, "model": "m",
    "choices": [{"index": 0, "text": "hey", "logprobs": null, "finish_reason": "length",
                 "stop_reason": null}],
    "usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7,
              "prompt_tokens_details": {"cached_tokens": 0}}})"));
}

TEST(OpenAiReply, Chunks) {
  EXPECT_EQ(first_chunk(kChatId, 0), Json::parse(R"({
    "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 5, "model": "m",
    "choices": [{"index": 0, "delta": {"role": "assistant", "content": ""}, "logprobs": null,
                 "finish_reason": null}]})"));
  EXPECT_EQ(choice_chunk(kChatId, {.text = "x"})["choices"][0]["delta"], Json::parse(R"({"content": "x"})"));
  EXPECT_EQ(choice_chunk(kChatId, {.finish_reason = "stop", .stop_reason = 7})["choices"][0], Json::parse(R"({
    "index": 0, "delta": {}, "logprobs": null, "finish_reason": "stop", "stop_reason": 7})"));
  EXPECT_EQ(choice_chunk(kTextId, {.text = "x"}), Json::parse(R"({
    "id": "cmpl-1", "object": "text_completion", "created": 5, "model": "m",
    "choices": [{"index": 0, "text": "x", "logprobs": null, "finish_reason": null}]})"));
  EXPECT_EQ(usage_chunk(kChatId, {1, 2}), Json::parse(R"({
    "id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 5, "model": "m", "choices": [],
    "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3,
              "prompt_tokens_details": {"cached_tokens": 0}}})"));
}

TEST(OpenAiReply, ToolCallsAndReasoning) {
  const chat::ReplyPart call{chat::ReplyPart::Kind::kToolCall, R"({"a":1})", "f"};
  ChoiceJson choice{.reasoning = "hm", .finish_reason = "tool_calls"};
  choice.tool_calls.push_back(tool_call(call, "abc"));
  EXPECT_EQ(reply_object(kChatId, {choice}, {})["choices"][0]["message"], Json::parse(R"({
    "role": "assistant", "content": null, "refusal": null, "reasoning_content": "hm", "tool_calls": [
      {"id": "abc", "type": "function", "function": {"name": "f", "arguments": "{\"a\":1}"}}]})"));
  ChoiceJson chunk;
  EXPECT_EQ(more_arguments(call, 1), Json::parse(R"({"index": 1, "function": {"arguments": "{\"a\":1}"}})"));
  chunk.tool_calls.push_back(tool_call(call, "abc", 1));
  EXPECT_EQ(choice_chunk(kChatId, chunk)["choices"][0]["delta"], Json::parse(R"({"tool_calls": [
    {"index": 1, "id": "abc", "type": "function", "function": {"name": "f", "arguments": "{\"a\":1}"}}]})"));
  EXPECT_EQ(choice_chunk(kChatId, {.reasoning = "x"})["choices"][0]["delta"],
            Json::parse(R"({"reasoning_content": "x"})"));
}

const generate::ScoredToken kUnscored{{.bytes = "<s>"}};  // not shown
const generate::ScoredToken kScored{{.bytes = "\u00e9a", .logprob = -0.5f},
                                    {{.bytes = "\xe4\xbd", .logprob = -0.25f}, {.bytes = "\u00e9a", .logprob = -0.5f}},
                                    2};
const generate::ScoredToken kImpossible{
    {.bytes = "b", .logprob = -std::numeric_limits<float>::infinity()}, {{.bytes = "c", .logprob = 0.0f}}, 1};

TEST(OpenAiReply, LogprobsOfChat) {
  EXPECT_TRUE(chat_logprobs({}).is_null());
  EXPECT_EQ(chat_logprobs(std::vector{kScored, kImpossible}), Json::parse(R"({"content": [
    {"token": "\u00e9a", "logprob": -0.5, "bytes": [195, 169, 97], "top_logprobs": [
      {"token": "bytes:\\xe4\\xbd", "logprob": -0.25, "bytes": [228, 189]},
      {"token": "\u00e9a", "logprob": -0.5, "bytes": [195, 169, 97]}]},
    {"token": "b", "logprob": -9999.0, "bytes": [98], "top_logprobs": [
      {"token": "c", "logprob": 0.0, "bytes": [99]}]}], "refusal": null})"));
}

TEST(OpenAiReply, LogprobsOfTextCompletions) {
  std::int64_t offset = 0;
  EXPECT_TRUE(text_logprobs({}, offset).is_null());
  EXPECT_EQ(text_logprobs(std::vector{kUnscored, kScored}, offset), Json::parse(R"({
    "tokens": ["<s>", "\u00e9a"], "token_logprobs": [null, -0.5],
    "top_logprobs": [null, {"bytes:\\xe4\\xbd": -0.25, "\u00e9a": -0.5}], "text_offset": [0, 0]})"));
  EXPECT_EQ(text_logprobs(std::vector{kImpossible}, offset), Json::parse(R"({
    "tokens": ["b"], "token_logprobs": [-9999.0], "top_logprobs": [{"c": 0.0, "b": -9999.0}], "text_offset": [2]})"));
  EXPECT_EQ(offset, 3);
}

TEST(OpenAiReply, Errors) {
  EXPECT_EQ(error_object(400, {ErrorCode::kInvalidArgument, "bad", "top_p"}), Json::parse(R"({"error":
    {"message": "bad", "type": "invalid_request_error", "param": "top_p", "code": null}})"));
  EXPECT_EQ(error_object(404, {ErrorCode::kNotFound, "no", "model"})["error"]["code"], "model_not_found");
  EXPECT_EQ(error_object(401, {ErrorCode::kPermissionDenied, "no"})["error"]["code"], "invalid_api_key");
  EXPECT_EQ(error_object(429, {ErrorCode::kResourceExhausted, "full"})["error"]["type"], "rate_limit_error");
  EXPECT_EQ(error_object(503, {ErrorCode::kUnavailable, "down"})["error"]["type"], "server_error");
  EXPECT_EQ(http_status({ErrorCode::kUnsupported, ""}), 400);
  EXPECT_EQ(http_status({ErrorCode::kNotFound, ""}), 404);
  EXPECT_EQ(http_status({ErrorCode::kResourceExhausted, ""}), 429);
  EXPECT_EQ(http_status({ErrorCode::kInternal, ""}), 500);
}

TEST(OpenAiReply, DumpReplacesInvalidUtf8) { EXPECT_EQ(dump(Json("a\xff")), "\"a\xEF\xBF\xBD\""); }

TEST(OpenAiReply, DumpEscapesTheLineBreaksOfUnicode) {
  const Json text("a\u0085b\u2028c\u2029d\u00e9");
  EXPECT_EQ(dump(text), "\"a\\u0085b\\u2028c\\u2029d\u00e9\"");
  EXPECT_EQ(Json::parse(dump(text)), text);
}

}  // namespace
}  // namespace tenon::server
