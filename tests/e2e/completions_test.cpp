// Text and chat completions, whole and streamed.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/json.h"
#include "server_process.h"

namespace tenon::e2e {
namespace {

Json golden() { return *read_json_file((model_dir() / "golden.json").string()); }

Json text_body(int max_tokens) {
  return {{"model", "tiny"}, {"prompt", Json::array({1})}, {"temperature", 0}, {"max_tokens", max_tokens}};
}

Json chat_body(const std::string& content, int max_tokens) {
  return {{"model", "tiny"},
          {"messages", Json::array({{{"role", "user"}, {"content", content}}})},
          {"temperature", 0},
          {"max_tokens", max_tokens}};
}

std::string whole_text(const HttpReply& reply) {
  EXPECT_EQ(reply.status, 200) << reply.body;
  const Json json = reply.json();
  if (reply.status != 200 || !json.is_object()) return "no reply";
  const Json& choice = json["choices"][0];
  return choice.contains("message") ? choice["message"]["content"] : choice["text"];
}

struct Streamed {
  std::string text, finish_reason;
  Json first, usage;
  std::size_t chunks_with_text = 0;
};

// Takes a stream apart and checks what all streams have in common.
Streamed streamed(const HttpReply& reply) {
  Streamed out;
  EXPECT_EQ(reply.status, 200) << reply.body;
  EXPECT_TRUE(reply.complete);
  auto list = events(reply.body);
  EXPECT_FALSE(list.empty());
  if (list.empty()) return out;
  EXPECT_EQ(list.back(), "[DONE]");
  list.pop_back();
  std::string id;
  for (const std::string& event : list) {
    const Json json = Json::parse(event, nullptr, false);
    EXPECT_TRUE(json.is_object()) << event;
    if (!json.is_object()) return out;
    if (out.first.is_null()) out.first = json, id = json["id"];
    EXPECT_EQ(json["id"], id);
    if (json["choices"].empty()) {
      out.usage = json["usage"];
      continue;
    }
    EXPECT_TRUE(out.finish_reason.empty()) << "a choice after the last";
    const Json& choice = json["choices"][0];
    const std::string text = choice.contains("delta") ? choice["delta"].value("content", "") : choice.value("text", "");
    out.text += text;
    out.chunks_with_text += !text.empty();
    if (!choice["finish_reason"].is_null()) out.finish_reason = choice["finish_reason"];
  }
  return out;
}

TEST(ServeCompletions, GreedyTextIsTheGoldenStoryWholeAndStreamed) {
  TinyServer server;
  Json body = text_body(200);
  const HttpReply whole = post(server.port(), "/v1/completions", body);
  const std::string golden_text = golden()["greedy_text"];
  ASSERT_EQ(golden()["greedy_ids_from_bos"].size(), 201u);
  EXPECT_EQ(whole_text(whole), golden_text);
  EXPECT_EQ(whole.json()["choices"][0]["finish_reason"], "length");
  EXPECT_EQ(whole.json()["usage"], (Json{{"prompt_tokens", 1},
                                         {"completion_tokens", 200},
                                         {"total_tokens", 201},
                                         {"prompt_tokens_details", {{"cached_tokens", 0}}}}));
  body["stream"] = true;
  const HttpReply reply = post(server.port(), "/v1/completions", body);
  EXPECT_THAT(reply.headers.at("content-type"), testing::StartsWith("text/event-stream"));
  const Streamed stream = streamed(reply);
  EXPECT_EQ(stream.text, golden_text);
  EXPECT_EQ(stream.finish_reason, "length");
  EXPECT_TRUE(stream.usage.is_null());
  EXPECT_GT(stream.chunks_with_text, 100u);
}

TEST(ServeCompletions, APromptOfGoldenIdsContinuesTheStory) {
  TinyServer server;
  const Json ids = golden()["greedy_ids_from_bos"];
  for (const std::size_t length : {2u, 17u, 100u, 150u}) {
    Json body = text_body(static_cast<int>(201 - length));
    body["prompt"] = Json(std::vector<Json>(ids.begin(), ids.begin() + static_cast<std::ptrdiff_t>(length)));
    const std::string text = whole_text(post(server.port(), "/v1/completions", body));
    EXPECT_THAT(golden()["greedy_text"].get<std::string>(), testing::EndsWith(text));
    EXPECT_GT(text.size(), (201 - length));
  }
}

TEST(ServeCompletions, MaxTokensEndsTheReplyWithLength) {
  TinyServer server;
  for (const int n : {1, 2, 7}) {
    const Json reply = post(server.port(), "/v1/completions", text_body(n)).json();
    EXPECT_EQ(reply["choices"][0]["finish_reason"], "length");
    EXPECT_EQ(reply["usage"]["completion_tokens"], n);
  }
  // The context ends it where max_tokens would go beyond.
  Json body = text_body(100000);
  body["ignore_eos"] = true;
  const Json reply = post(server.port(), "/v1/completions", body).json();
  EXPECT_EQ(reply["choices"][0]["finish_reason"], "length");
  EXPECT_EQ(reply["usage"]["total_tokens"], 512);
}

TEST(ServeCompletions, StopStringsEndTheReplyBeforeThem) {
  TinyServer server;
  Json body = text_body(200);
  body["stop"] = Json::array({"park", "red ball"});
  for (const bool stream : {false, true}) {
    body["stream"] = stream;
    const HttpReply reply = post(server.port(), "/v1/completions", body);
    const std::string text = stream ? streamed(reply).text : whole_text(reply);
    EXPECT_EQ(text, "Once upon a time, there was a little girl named Lily. She loved to play outside in the ");
    EXPECT_EQ(stream ? streamed(reply).finish_reason : reply.json()["choices"][0]["finish_reason"].get<std::string>(),
              "stop");
  }
  EXPECT_LT(server.metric("tenon:iteration_tokens_total_sum"), 200);  // the engine stopped, too
}

TEST(ServeCompletions, StopTokensEndTheReply) {
  TinyServer server;
  Json body = text_body(200);
  body["stop_token_ids"] = Json::array({426});  // "."
  const HttpReply reply = post(server.port(), "/v1/completions", body);
  EXPECT_EQ(whole_text(reply), "Once upon a time, there was a little girl named Lily");
  EXPECT_EQ(reply.json()["choices"][0]["finish_reason"], "stop");
}

TEST(ServeCompletions, TheSeedRepeatsARandomReply) {
  TinyServer server;
  Json body = text_body(60);
  body["temperature"] = 1;
  const auto text = [&](int seed) {
    body["seed"] = seed;
    return whole_text(post(server.port(), "/v1/completions", body));
  };
  const std::string first = text(7);
  EXPECT_EQ(text(7), first);
  EXPECT_NE(text(8), first);
  EXPECT_NE(first, golden()["greedy_text"].get<std::string>().substr(0, first.size()));
  body.erase("seed");
  EXPECT_NE(whole_text(post(server.port(), "/v1/completions", body)),
            whole_text(post(server.port(), "/v1/completions", body)));
}

TEST(ServeChat, WholeAndStreamedAreEqual) {
  TinyServer server(true);
  Json body = chat_body("Once upon a time", 40);
  const HttpReply whole = post(server.port(), "/v1/chat/completions", body);
  const std::string text = whole_text(whole);
  EXPECT_THAT(text, testing::HasSubstr("there was a little girl named Lily."));
  const Json json = whole.json();
  EXPECT_EQ(json["object"], "chat.completion");
  EXPECT_EQ(json["choices"][0]["message"]["role"], "assistant");
  EXPECT_EQ(json["usage"]["completion_tokens"], 40);
  body["stream"] = true;
  EXPECT_TRUE(streamed(post(server.port(), "/v1/chat/completions", body)).usage.is_null());
  body["stream_options"] = {{"include_usage", true}};
  const Streamed stream = streamed(post(server.port(), "/v1/chat/completions", body));
  EXPECT_EQ(stream.text, text);
  EXPECT_EQ(stream.finish_reason, "length");
  // All of the prompt but its last token comes from the cache now.
  EXPECT_EQ(stream.usage["prompt_tokens_details"]["cached_tokens"], json["usage"]["prompt_tokens"].get<int>() - 1);
  EXPECT_EQ(stream.usage["prompt_tokens"], json["usage"]["prompt_tokens"]);
  EXPECT_EQ(stream.usage["completion_tokens"], json["usage"]["completion_tokens"]);
  EXPECT_EQ(stream.first["object"], "chat.completion.chunk");
  EXPECT_EQ(stream.first["choices"][0]["delta"]["role"], "assistant");
}

TEST(ServeChat, ThePromptIsTheRenderedTemplateWithoutASecondBeginToken) {
  TinyServer server(true);
  const Json chat = post(server.port(), "/v1/chat/completions", chat_body("Once upon a time", 1)).json();
  Json body = text_body(1);
  body["prompt"] = "Once upon a time";
  const Json text = post(server.port(), "/v1/completions", body).json();
  EXPECT_EQ(chat["usage"]["prompt_tokens"], text["usage"]["prompt_tokens"]);
}

}  // namespace
}  // namespace tenon::e2e
