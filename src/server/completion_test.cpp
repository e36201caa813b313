// Tool calls and reasoning from a reply's text to OpenAI's objects, whole and streamed.
#include "server/completion.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>
#include <sstream>
#include <string_view>

#include "server/test_support.h"

namespace tenon::server {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::Not;

class CompletionTest : public testing::Test {
 protected:
  enum class Usage : std::uint8_t { kNone, kLast, kContinuous };
  void start(bool stream, bool parallel = true, int n = 1, Usage usage = Usage::kNone) {
    const generate::Generator generator({.engine = engine_,
                                         .tokenizer = std::make_shared<Bytes>(),
                                         .chat_template = std::make_shared<Template>(),
                                         .eos_token_ids = {}});
    ParsedRequest request = request_;
    request.prompts.push_back({chat::RenderInput{}});
    request.stream = stream;
    request.include_usage = usage != Usage::kNone;
    request.continuous_usage = usage == Usage::kContinuous;
    request.n = n;
    request.tools = {"f", "g"};
    request.parallel_tool_calls = parallel;
    request.format = format_;
    ASSERT_TRUE(
        Completion::start(generator, std::move(request), {.id = "chatcmpl-1", .model = "m"}, {}, exchange_, metrics_));
  }
  void write(std::string_view text) {
    for (const char c : text) engine_->send(0, {.id = 1, .token = c});
  }
  std::string streamed() const {
    std::string out;
    for (const std::string& event : exchange_->events) out += event;
    return out;
  }
  Json choice() const { return Json::parse(exchange_->body)["choices"][0]; }

  std::shared_ptr<FakeEngine> engine_ = std::make_shared<FakeEngine>();
  std::shared_ptr<FakeExchange> exchange_ = std::make_shared<FakeExchange>();
  Metrics metrics_;
  ParsedRequest request_;
  chat::ReplyFormat format_ = {.tools = "hermes", .reasoning = "qwen3"};
};

constexpr const char* kReply =
    "<think>Which?</think>\n\nI look.\n<tool_call>\n{\"name\": \"f\", \"arguments\": {\"a\": 1}}\n</tool_call>\n"
    "<tool_call>{\"name\": \"g\", \"arguments\": {}}</tool_call>";

TEST_F(CompletionTest, AWholeReplyHasItsParts) {
  start(false);
  engine_->emit(0, kReply);
  EXPECT_EQ(exchange_->status, 200);
  const Json message = choice()["message"];
  EXPECT_EQ(message["reasoning_content"], "Which?");
  EXPECT_EQ(message["content"], "I look.");
  ASSERT_EQ(message["tool_calls"].size(), 2u);
  EXPECT_EQ(message["tool_calls"][0]["function"], (Json{{"name", "f"}, {"arguments", "{\"a\": 1}"}}));
  EXPECT_EQ(message["tool_calls"][1]["function"]["name"], "g");
  EXPECT_EQ(message["tool_calls"][0]["type"], "function");
  EXPECT_EQ(message["tool_calls"][0]["id"].get<std::string>().size(), 9u);
  EXPECT_NE(message["tool_calls"][0]["id"], message["tool_calls"][1]["id"]);
  EXPECT_EQ(choice()["finish_reason"], "tool_calls");
}

TEST_F(CompletionTest, AStreamHasThemAsDeltas) {
  start(true);
  engine_->emit(0, kReply);
  std::string reasoning, content, finish;
  std::vector<std::string> calls;
  int deltas = 0;
  ASSERT_EQ(exchange_->events.back(), "[DONE]");
  exchange_->events.pop_back();
  for (const std::string& event : exchange_->events) {
    const Json chunk = Json::parse(event);
    const Json& one = chunk["choices"][0];
    reasoning += one["delta"].value("reasoning_content", "");
    content += one["delta"].value("content", "");
    if (one["delta"].contains("tool_calls")) {
      const Json& call = one["delta"]["tool_calls"][0];
      if (call.contains("id")) {
        EXPECT_EQ(call["type"], "function");
        EXPECT_EQ(call["function"]["arguments"], "");
        calls.push_back(call["function"]["name"].get<std::string>() + " ");
      } else {
        // A later chunk has nothing but the arguments.
        EXPECT_EQ(call.size(), 2u) << call;
        EXPECT_EQ(call["function"].size(), 1u) << call;
      }
      EXPECT_EQ(call["index"], calls.size() - 1);
      calls.back() += call["function"]["arguments"].get<std::string>();
      ++deltas;
    }
    if (!one["finish_reason"].is_null()) finish = one["finish_reason"];
  }
  EXPECT_EQ(reasoning, "Which?");
  EXPECT_EQ(content, "I look.");
  EXPECT_THAT(calls, ElementsAre("f {\"a\": 1}", "g {}"));
  EXPECT_EQ(deltas, 1 + 8 + 1 + 2);  // a token a byte, and the names
  EXPECT_EQ(finish, "tool_calls");
  EXPECT_TRUE(exchange_->ended);
}

TEST_F(CompletionTest, ACallIsStreamedBeforeTheReplyEnds) {
  format_ = {.tools = "llama3_json"};
  start(true);
  write(R"({"name": "f", "parameters": {)");
  EXPECT_THAT(streamed(), HasSubstr(R"("function":{"name":"f","arguments":""})"));
  write(R"("a": 1)");
  engine_->send(0, {.id = 1, .finish = engine::FinishReason::kLength});
  EXPECT_THAT(streamed(), HasSubstr(R"("finish_reason":"length")"));
}

TEST_F(CompletionTest, AnAnswerInJsonIsStreamedBeforeTheReplyEnds) {
  format_ = {.tools = "llama3_json"};
  start(true);
  write(R"({"name": "Bob",)");
  EXPECT_THAT(streamed(), HasSubstr("Bob"));
  engine_->emit(0, R"( "age": 3})");
  EXPECT_THAT(streamed(), Not(HasSubstr("tool_calls")));
}

TEST_F(CompletionTest, EveryChunkHasTheUsageSoFarWhereItIsWanted) {
  start(true, true, 2, Usage::kContinuous);
  engine_->emit(0, "ab");
  engine_->emit(1, "cde");
  std::vector<int> tokens;
  ASSERT_EQ(exchange_->events.back(), "[DONE]");
  exchange_->events.pop_back();
  for (const std::string& event : exchange_->events) {
    const Json usage = Json::parse(event)["usage"];
    EXPECT_EQ(usage["prompt_tokens"], 6);
    tokens.push_back(usage["completion_tokens"].get<int>());
  }
  // Two first chunks, "a", "b", the end, "c", "d", "e", the end, and the usage at last.
  EXPECT_THAT(tokens, ElementsAre(0, 0, 1, 2, 2, 3, 4, 5, 5, 5));
}

TEST_F(CompletionTest, TheUsageOfTheLastChunkIsNullInTheOthers) {
  start(true, true, 1, Usage::kLast);
  engine_->emit(0, "ab");
  ASSERT_EQ(exchange_->events.size(), 6u);  // the first, "a", "b", the end, the usage, [DONE]
  for (std::size_t i = 0; i < 4; ++i) EXPECT_EQ(Json::parse(exchange_->events[i]).at("usage"), nullptr);
  EXPECT_EQ(Json::parse(exchange_->events[4])["usage"]["completion_tokens"], 2);
}

TEST_F(CompletionTest, ChunksHaveNoUsageElse) {
  start(true);
  engine_->emit(0, "ab");
  for (const std::string& event : exchange_->events) EXPECT_EQ(event.find("usage"), std::string::npos) << event;
}

TEST_F(CompletionTest, OnlyOneCallWhereOneIsWanted) {
  start(false, false);
  engine_->emit(0, kReply);
  EXPECT_EQ(choice()["message"]["tool_calls"].size(), 1u);
}

TEST_F(CompletionTest, OnlyOneCallIsStreamedWhereOneIsWanted) {
  start(true, false);
  engine_->emit(0, kReply);
  for (const std::string& event : exchange_->events) {
    EXPECT_EQ(event.find("\"index\":1"), std::string::npos) << event;
    EXPECT_EQ(event.find("\"g\""), std::string::npos) << event;
  }
}

TEST_F(CompletionTest, ACutReplyIsOfLength) {
  start(false);
  engine_->emit(0, "<think>no end", engine::FinishReason::kLength);
  EXPECT_EQ(choice()["finish_reason"], "length");
  EXPECT_EQ(choice()["message"]["reasoning_content"], "no end");
  EXPECT_EQ(choice()["message"]["content"], "");
}

TEST_F(CompletionTest, AFailedChoiceEndsTheOthers) {
  start(false, true, 3);
  engine_->send(0, {.id = 1, .token = 'a'});
  engine_->send(1, {.id = 2, .finish = engine::FinishReason::kError, .error = "broke"});
  EXPECT_EQ(exchange_->status, 500);
  EXPECT_THAT(engine_->cancelled, ElementsAre(1, 3));
  engine_->send(2, {.id = 3, .token = 'a'});  // too late: nobody listens
  EXPECT_EQ(exchange_->status, 500);
}

TEST_F(CompletionTest, AStreamThatFailsBeforeItBeginsHasItsStatus) {
  start(true);
  EXPECT_FALSE(exchange_->begun);
  engine_->send(0, {.id = 1, .finish = engine::FinishReason::kTimeout});
  EXPECT_EQ(exchange_->status, 504);
  EXPECT_FALSE(exchange_->begun);
}

TEST_F(CompletionTest, AStreamThatFailsLaterSaysSo) {
  start(true);
  engine_->send(0, {.id = 1, .token = 'a'});
  EXPECT_TRUE(exchange_->begun);
  engine_->send(0, {.id = 1, .finish = engine::FinishReason::kError, .error = "broke"});
  EXPECT_EQ(exchange_->status, 0);
  EXPECT_EQ(Json::parse(exchange_->events.back())["error"]["type"], "server_error");
  EXPECT_TRUE(exchange_->ended);
}

TEST_F(CompletionTest, CachedTokensCountOnceForAllChoicesOfAPrompt) {
  start(false, true, 3);
  for (std::size_t i = 0; i < 3; ++i) {
    engine_->send(i, {.id = i + 1, .token = 'a', .cached_tokens = 2});
    engine_->send(i, {.id = i + 1, .finish = engine::FinishReason::kStop, .cached_tokens = 2});
  }
  const Json usage = Json::parse(exchange_->body)["usage"];
  EXPECT_EQ(usage["prompt_tokens_details"]["cached_tokens"], 2);
}

TEST_F(CompletionTest, AReplySaysWhichStopEndedIt) {
  for (const bool stream : {false, true}) {
    request_.generate.stop = {"ab"};
    start(stream);
    write("xab");
    Json last = stream ? Json::parse(exchange_->events.at(exchange_->events.size() - 2))["choices"][0] : choice();
    EXPECT_EQ(last["stop_reason"], "ab");
    EXPECT_EQ(last["finish_reason"], "stop");
    *engine_ = FakeEngine(), exchange_ = std::make_shared<FakeExchange>();
    start(stream);
    engine_->emit(0, "x");
    last = stream ? Json::parse(exchange_->events.at(exchange_->events.size() - 2))["choices"][0] : choice();
    EXPECT_TRUE(last.at("stop_reason").is_null());
    *engine_ = FakeEngine(), exchange_ = std::make_shared<FakeExchange>();
  }
}

TEST_F(CompletionTest, AReplyMayBeginWithAnEcho) {
  request_.echoed = "Hel";
  start(false);
  engine_->emit(0, "lo");
  EXPECT_EQ(choice()["message"]["content"], "Hello");
  *engine_ = FakeEngine();
  start(true);
  engine_->emit(0, "lo");
  EXPECT_EQ(Json::parse(exchange_->events.at(1))["choices"][0]["delta"]["content"], "Hell");
}

TEST_F(CompletionTest, BadWordsThatLeaveNothingAreTheClientsFault) {
  request_.bad_words = {"a"};
  start(false);
  engine_->send(0, {.id = 1, .finish = engine::FinishReason::kGrammar, .error = "no token is left"});
  EXPECT_EQ(exchange_->status, 400);
  EXPECT_EQ(Json::parse(exchange_->body)["error"]["param"], "bad_words");
}

TEST_F(CompletionTest, BadWordsThatLeaveNothingOfAFormAreNamedThemselves) {
  const generate::Generator generator({.engine = engine_, .tokenizer = std::make_shared<Bytes>(), .eos_token_ids = {}});
  exchange_->deferred = true;
  for (const auto& [error, param] : {std::pair("'bad_words' leave no token", "bad_words"),
                                     {"'allowed_token_ids' leave no token", "allowed_token_ids"},
                                     {"it grows", "regex"}}) {
    ParsedRequest request;
    request.prompts = {{std::string("a")}};
    request.bad_words = {"a"};
    request.structure = {.kind = grammar::Kind::kRegex, .text = "a", .param = "regex"};
    ASSERT_TRUE(Completion::start(generator, std::move(request), {.chat = false}, {}, exchange_, metrics_));
    exchange_->run_posted();  // the form is compiled
    engine_->send(engine_->sinks.size() - 1, {.finish = engine::FinishReason::kGrammar, .error = error});
    exchange_->run_posted();
    EXPECT_EQ(Json::parse(exchange_->body)["error"]["param"], param);
  }
}

TEST_F(CompletionTest, APromptBeyondTheContextIsNotCopiedForEveryChoice) {
  const generate::Generator generator({.engine = engine_, .tokenizer = std::make_shared<Bytes>(), .eos_token_ids = {}});
  const auto begun = [&](std::size_t tokens) {
    ParsedRequest request;
    request.prompts = {{std::string("a")}, {std::string(tokens, 'a')}};
    request.n = 100;
    return Completion::start(generator, std::move(request), {.chat = false}, {}, exchange_, metrics_);
  };
  const auto refused = begun(FakeEngine::kMaxLength + 1);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code, ErrorCode::kTooLong);
  EXPECT_EQ(refused.error().param, "prompt");
  EXPECT_EQ(engine_->most_at_once, 1u);
  EXPECT_TRUE(begun(10));
  EXPECT_EQ(engine_->most_at_once, 200u);
  exchange_->hang_up();  // or it would never end
}

TEST_F(CompletionTest, WhatFillsTheMemoryIsRefused) {
  request_.prompt_logprobs = request_.generate.prompt_logprobs = 20;
  request_.n = 1;
  const generate::Generator generator({.engine = engine_, .tokenizer = std::make_shared<Bytes>(), .eos_token_ids = {}});
  request_.prompts.push_back({std::string(20000, 'a')});
  const auto begun = Completion::start(generator, request_, {.chat = false}, {}, exchange_, metrics_);
  ASSERT_FALSE(begun);
  EXPECT_EQ(begun.error().param, "prompt_logprobs");
  request_.prompt_logprobs = -1;
  request_.prompts.assign(200, {std::string("a")});
  request_.structure = {.kind = grammar::Kind::kRegex, .text = std::string(200000, 'a')};
  EXPECT_FALSE(Completion::start(generator, request_, {.chat = false}, {}, exchange_, metrics_));
  request_.structure.reset();
  request_.prompts.assign(1, {std::string("a")});
  request_.logprobs = true;
  request_.n = 3;
  request_.generate.sampling.top_logprobs = 20;
  const auto long_replies = Completion::start(generator, request_, {.chat = false}, {}, exchange_, metrics_);
  ASSERT_FALSE(long_replies);
  EXPECT_EQ(long_replies.error().param, "logprobs");
  EXPECT_TRUE(engine_->sinks.empty());
}

// What an event of the engine has of a prompt's next tokens.
std::vector<sampler::TokenLogprobs> scores(std::size_t count) {
  return std::vector<sampler::TokenLogprobs>(count, {.logprob = -1, .top = {{'x', -0.5f}}});
}

// The prompt "abc" is scored once for all choices, whose replies may come before its logprobs.
TEST_F(CompletionTest, AnEchoIsScoredOnce) {
  for (const bool stream : {false, true}) {
    *engine_ = FakeEngine(), exchange_ = std::make_shared<FakeExchange>();
    const generate::Generator generator(
        {.engine = engine_, .tokenizer = std::make_shared<Bytes>(), .eos_token_ids = {}});
    ParsedRequest request;
    request.prompts.push_back({std::string("abc")});
    request.n = 3, request.stream = stream, request.echo = request.logprobs = true;
    request.generate.sampling.top_logprobs = request.generate.prompt_logprobs = 1;
    ASSERT_TRUE(Completion::start(generator, request, {.chat = false}, {}, exchange_, metrics_));
    EXPECT_THAT(engine_->prompt_logprobs, ElementsAre(1, -1, -1));
    const auto token = [](std::size_t choice, char c) {
      return engine::TokenEvent{.id = choice + 1, .token = c, .logprobs = sampler::TokenLogprobs{.logprob = -2}};
    };
    engine_->send(1, token(1, 'q'));
    engine_->send(0, {.id = 1, .prompt_logprobs = scores(1)});
    engine_->send(1, {.id = 2, .finish = engine::FinishReason::kStop});
    EXPECT_TRUE(exchange_->events.empty() || !stream) << "the prompt comes first";
    engine_->send(0, {.id = 1, .prompt_logprobs = scores(1)});
    engine_->send(2, token(2, 'r'));
    engine_->send(2, {.id = 3, .finish = engine::FinishReason::kStop});
    engine_->send(0, token(0, 'p'));
    engine_->send(0, {.id = 1, .finish = engine::FinishReason::kStop});
    std::map<int, std::string> texts;
    std::map<int, Json> logprobs;
    const auto take = [&](const Json& choice) {
      texts[choice["index"]] += choice["text"].get<std::string>();
      for (const auto& [key, list] : choice["logprobs"].items()) {
        for (const Json& one : list) logprobs[choice["index"]][key].push_back(one);
      }
    };
    if (!stream) {
      ASSERT_EQ(exchange_->status, 200);
      const Json body = Json::parse(exchange_->body);
      for (const Json& choice : body["choices"]) take(choice);
    }
    for (const std::string& event : exchange_->events) {
      if (event != "[DONE]") take(Json::parse(event)["choices"][0]);
    }
    for (int i = 0; i < 3; ++i) {
      const std::string own = {"pqr"[i]};
      EXPECT_EQ(texts[i], "abc" + own);
      EXPECT_EQ(logprobs[i]["tokens"], Json({"a", "b", "c", own}));
      EXPECT_EQ(logprobs[i]["token_logprobs"], Json({nullptr, -1.0, -1.0, -2.0}));
      EXPECT_EQ(logprobs[i]["text_offset"], Json({0, 1, 2, 3}));
    }
  }
}

TEST_F(CompletionTest, AHangUpCancelsEveryChoice) {
  start(true, true, 2);
  engine_->send(0, {.id = 1, .token = 'a'});
  exchange_->hang_up();
  EXPECT_THAT(engine_->cancelled, ElementsAre(1, 2));
}

// The value of a metric's only series, or of that with this label.
double value(const Metrics& metrics, const std::string& name, const std::string& label = "") {
  std::istringstream text(metrics.text({}));
  for (std::string line; std::getline(text, line);) {
    if (line.starts_with("tenon:" + name + "{") && line.find(label) != std::string::npos) {
      return std::stod(line.substr(line.rfind(' ') + 1));
    }
  }
  return -1;
}

TEST_F(CompletionTest, EveryChoiceIsCountedOnceHoweverItEnds) {
  const auto ended = [this](const char* reason) { return value(metrics_, "request_success_total", reason); };
  start(false, true, 3);
  engine_->emit(0, "ab");
  engine_->emit(1, "abcd", engine::FinishReason::kLength);
  EXPECT_EQ(value(metrics_, "request_params_n_count"), 0);
  engine_->emit(2, "a");
  EXPECT_EQ(ended("\"stop\""), 2);
  EXPECT_EQ(ended("\"length\""), 1);
  EXPECT_EQ(value(metrics_, "request_params_n_sum"), 3);
  EXPECT_EQ(value(metrics_, "request_params_max_tokens_count"), 3);
  EXPECT_EQ(value(metrics_, "request_max_num_generation_tokens_count"), 1);
  EXPECT_EQ(value(metrics_, "request_max_num_generation_tokens_sum"), 4);
  EXPECT_EQ(value(metrics_, "request_inference_time_seconds_count"), 3);

  engine_->sinks.clear();
  start(true, true, 2);
  engine_->emit(0, "ab");
  engine_->send(1, {.id = 2, .token = 'a'});
  exchange_->hang_up();
  engine_->send(1, {.id = 2, .finish = engine::FinishReason::kCancelled});
  exchange_->hang_up();
  EXPECT_EQ(ended("\"stop\""), 3);
  EXPECT_EQ(ended("\"abort\""), 1);
  EXPECT_EQ(value(metrics_, "request_params_n_sum"), 5);

  engine_->sinks.clear();
  start(false, true, 2);
  engine_->send(0, {.id = 1, .finish = engine::FinishReason::kError, .error = "broke"});
  EXPECT_EQ(ended("\"error\""), 1);
  EXPECT_EQ(ended("\"abort\""), 2);
  EXPECT_EQ(value(metrics_, "request_generation_tokens_count"), 7);
  EXPECT_EQ(value(metrics_, "request_params_n_count"), 3);
}

TEST_F(CompletionTest, GeneratedTokensAreThoseOfTheUsage) {
  request_.generate.stop = {"b"};
  start(false);
  // A guess of the engine's brings several at once, and some behind the stop string.
  const std::vector<engine::TokenEvent> events = {
      {.id = 1, .token = 'a'}, {.id = 1, .token = 'b'}, {.id = 1, .token = 'c'}};
  (*engine_->sinks[0])(events);
  EXPECT_EQ(Json::parse(exchange_->body)["usage"]["completion_tokens"], 2);
  EXPECT_EQ(value(metrics_, "generation_tokens_total"), 2);
  EXPECT_EQ(value(metrics_, "request_generation_tokens_sum"), 2);
}

// Of /v1/responses: the items without what differs from one time to another.
Json items_of(const Json& response) {
  Json items = response["output"];
  for (Json& item : items) item.erase("call_id");
  return items;
}

TEST_F(CompletionTest, AResponseIsTheSameWholeAndStreamed) {
  request_.response = {{"store", false}};
  start(false);
  engine_->emit(0, kReply);
  const Json whole = Json::parse(exchange_->body);
  EXPECT_EQ(whole["status"], "completed");
  EXPECT_EQ(whole["store"], false);
  ASSERT_EQ(whole["output"].size(), 4u) << whole;
  EXPECT_EQ(whole["output"][0]["content"][0]["text"], "Which?");
  EXPECT_EQ(whole["output"][1]["content"][0]["text"], "I look.");
  EXPECT_EQ(whole["output"][2]["arguments"], "{\"a\": 1}");
  EXPECT_EQ(whole["output"][3]["name"], "g");
  EXPECT_EQ(whole["output"][3]["call_id"].get<std::string>().size(), 9u);

  engine_->sinks.clear();
  start(true);
  EXPECT_FALSE(exchange_->begun) << "with the first token";
  engine_->emit(0, kReply);
  EXPECT_TRUE(exchange_->begun && exchange_->ended);
  EXPECT_EQ(Json::parse(exchange_->events.front())["type"], "response.created");
  const Json last = Json::parse(exchange_->events.back());
  EXPECT_EQ(last["type"], "response.completed");
  EXPECT_EQ(items_of(last["response"]), items_of(whole));
  EXPECT_EQ(last["response"]["usage"], whole["usage"]);
  EXPECT_THAT(streamed(), Not(HasSubstr("[DONE]")));
}

TEST_F(CompletionTest, AResponseOfOneCallHasNoOther) {
  request_.response = Json::object();
  start(true, false);
  engine_->emit(0, kReply);
  EXPECT_EQ(Json::parse(exchange_->events.back())["response"]["output"].size(), 3u);
}

TEST_F(CompletionTest, AResponseThatFails) {
  request_.response = Json::object();
  start(true);
  engine_->send(0, {.id = 1, .finish = engine::FinishReason::kTimeout});
  EXPECT_EQ(exchange_->status, 504) << "before the first token";
  engine_->sinks.clear();
  start(true);
  write("ab");
  engine_->send(0, {.id = 1, .finish = engine::FinishReason::kError, .error = "broke"});
  EXPECT_TRUE(exchange_->ended);
  EXPECT_EQ(Json::parse(exchange_->events.at(exchange_->events.size() - 2))["type"], "error");
  const Json failed = Json::parse(exchange_->events.back())["response"];
  EXPECT_EQ(failed["status"], "failed");
  EXPECT_EQ(failed["error"]["message"], "the request failed: broke");
  EXPECT_EQ(failed["usage"]["output_tokens"], 2);
}

}  // namespace
}  // namespace tenon::server
