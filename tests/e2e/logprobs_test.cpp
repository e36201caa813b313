// Logprobs, echo, several prompts and several choices.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <unistd.h>

#include <algorithm>
#include <set>

#include "base/json.h"
#include "server_process.h"

namespace tenon::e2e {
namespace {

Json text_body(const Json& prompt, int max_tokens) {
  return {{"model", "tiny"}, {"prompt", prompt}, {"temperature", 0}, {"max_tokens", max_tokens}};
}

Json chat_body(int max_tokens) {
  return {{"model", "tiny"},
          {"messages", Json::array({{{"role", "user"}, {"content", "Once upon a time"}}})},
          {"temperature", 0},
          {"max_tokens", max_tokens}};
}

Json whole(const TinyServer& server, const char* path, const Json& body) {
  const HttpReply reply = post(server.port(), path, body);
  EXPECT_EQ(reply.status, 200) << reply.body;
  return reply.json();
}

// The choices of a stream, put together: text, logprobs (arrays joined), finish reason.
std::map<int, Json> joined(const HttpReply& reply) {
  EXPECT_EQ(reply.status, 200) << reply.body;
  std::map<int, Json> choices;
  for (const std::string& event : events(reply.body)) {
    if (event == "[DONE]") continue;
    const Json chunk = Json::parse(event);
    for (const Json& choice : chunk["choices"]) {
      Json& out = choices[choice["index"]];
      if (out.is_null()) out = {{"text", ""}, {"logprobs", nullptr}, {"finish_reason", nullptr}};
      EXPECT_TRUE(out["finish_reason"].is_null()) << "a chunk after the last";
      const Json& text = choice.contains("delta") ? choice["delta"].value("content", Json("")) : choice["text"];
      out["text"] = out["text"].get<std::string>() + text.get<std::string>();
      out["finish_reason"] = choice["finish_reason"];
      for (const auto& [key, value] : choice["logprobs"].items()) {
        if (!value.is_array()) continue;
        for (const Json& item : value) out["logprobs"][key].push_back(item);
      }
    }
  }
  return choices;
}

TEST(Logprobs, OfTextCompletionsWholeAndStreamed) {
  TinyServer server;
  Json body = text_body("Once upon a time", 12);
  body["logprobs"] = 3;
  const Json choice = whole(server, "/v1/completions", body)["choices"][0];
  const Json& logprobs = choice["logprobs"];
  ASSERT_EQ(logprobs["tokens"].size(), 12u);
  std::string text;
  for (std::size_t i = 0; i < 12; ++i) {
    text += logprobs["tokens"][i].get<std::string>();
    EXPECT_EQ(logprobs["top_logprobs"][i].size(), 3u);
    double best = -1e9;
    for (const auto& [token, value] : logprobs["top_logprobs"][i].items()) best = std::max(best, value.get<double>());
    EXPECT_EQ(logprobs["token_logprobs"][i], best) << "greedy takes the best";
    EXPECT_LE(best, 0);
  }
  EXPECT_EQ(text, choice["text"].get<std::string>());
  EXPECT_EQ(logprobs["text_offset"][0], 0);
  EXPECT_EQ(logprobs["text_offset"][1], logprobs["tokens"][0].get<std::string>().size());
  body["stream"] = true;
  const auto streamed = joined(post(server.port(), "/v1/completions", body));
  EXPECT_EQ(streamed.at(0)["text"], choice["text"]);
  EXPECT_EQ(streamed.at(0)["logprobs"], logprobs);
}

TEST(Logprobs, OfChatWholeAndStreamed) {
  TinyServer server(true);
  Json body = chat_body(8);
  body["logprobs"] = true;
  body["top_logprobs"] = 2;
  const Json choice = whole(server, "/v1/chat/completions", body)["choices"][0];
  const Json& content = choice["logprobs"]["content"];
  ASSERT_EQ(content.size(), 8u);
  for (const Json& token : content) {
    ASSERT_EQ(token["top_logprobs"].size(), 2u);
    EXPECT_EQ(token["top_logprobs"][0]["logprob"], token["logprob"]);
    std::string bytes;
    for (const Json& byte : token["bytes"]) bytes += static_cast<char>(byte.get<int>());
    EXPECT_EQ(bytes, token["token"].get<std::string>());
  }
  body["stream"] = true;
  EXPECT_EQ(joined(post(server.port(), "/v1/chat/completions", body)).at(0)["logprobs"]["content"], content);
  body.erase("top_logprobs");
  body["stream"] = false;
  EXPECT_EQ(whole(server, "/v1/chat/completions", body)["choices"][0]["logprobs"]["content"][0]["top_logprobs"],
            Json::array());
}

// The prompt's logprobs must be those that the same tokens have as a greedy reply.
TEST(Echo, ScoresThePromptAsTheReplyWasScored) {
  TinyServer server;
  const Json ids = (*read_json_file((model_dir() / "golden.json").string()))["greedy_ids_from_bos"];
  Json body = text_body(Json::array({1}), 80);
  body["logprobs"] = 1;
  const Json reply = whole(server, "/v1/completions", body)["choices"][0];
  body = text_body(Json(std::vector<Json>(ids.begin(), ids.begin() + 81)), 1);
  body["logprobs"] = 1;
  body["echo"] = true;
  const Json echo = whole(server, "/v1/completions", body);
  const Json& scored = echo["choices"][0]["logprobs"];
  ASSERT_EQ(scored["tokens"].size(), 82u);  // <s>, 80 of the story, and the new one
  EXPECT_TRUE(scored["token_logprobs"][0].is_null());
  EXPECT_TRUE(scored["top_logprobs"][0].is_null());
  for (std::size_t i = 0; i < 80; ++i) {
    EXPECT_EQ(scored["token_logprobs"][i + 1], reply["logprobs"]["token_logprobs"][i]) << i;  // to the bit
    EXPECT_EQ(scored["top_logprobs"][i + 1], reply["logprobs"]["top_logprobs"][i]) << i;
  }
  EXPECT_EQ(echo["usage"]["prompt_tokens"], 81);
  EXPECT_EQ(echo["usage"]["completion_tokens"], 1);
  body["stream"] = true;
  EXPECT_EQ(joined(post(server.port(), "/v1/completions", body)).at(0)["logprobs"], scored);
  body["stream"] = false;
  body["max_tokens"] = 0;
  const Json read = whole(server, "/v1/completions", body);
  EXPECT_EQ(read["choices"][0]["logprobs"]["tokens"].size(), 81u);
  EXPECT_EQ(read["choices"][0]["finish_reason"], "length");
  EXPECT_EQ(read["usage"]["completion_tokens"], 0);
}

TEST(Echo, BeginsWithThePromptsText) {
  TinyServer server;
  Json body = text_body("Once upon a time", 5);
  const std::string text = whole(server, "/v1/completions", body)["choices"][0]["text"];
  body["echo"] = true;
  EXPECT_EQ(whole(server, "/v1/completions", body)["choices"][0]["text"], "Once upon a time" + text);
  body["stream"] = true;
  EXPECT_EQ(joined(post(server.port(), "/v1/completions", body)).at(0)["text"], "Once upon a time" + text);
}

// The prompt is scored once for all choices, each of which is what it is without the others.
TEST(Echo, ChoicesShareThePromptsScores) {
  TinyServer server;
  Json body = text_body("Once upon a time, there was a little girl", 6);
  body["temperature"] = 1;
  body["seed"] = 3;
  body["logprobs"] = 2;
  const Json plain = whole(server, "/v1/completions", [&] {
    Json several = body;
    several["n"] = 4;
    return several;
  }());
  body["echo"] = true;
  const Json alone = whole(server, "/v1/completions", body)["choices"][0];
  body["n"] = 4;
  const Json echo = whole(server, "/v1/completions", body);
  EXPECT_EQ(echo["choices"][0], alone);
  EXPECT_EQ(echo["usage"]["completion_tokens"], 24);
  body["stream"] = true;
  const auto streamed = joined(post(server.port(), "/v1/completions", body));
  const std::size_t scored = alone["logprobs"]["tokens"].size() - 6;
  for (int i = 0; i < 4; ++i) {
    const Json& choice = echo["choices"][static_cast<std::size_t>(i)];
    const Json& own = plain["choices"][static_cast<std::size_t>(i)];
    EXPECT_EQ(choice["text"], body["prompt"].get<std::string>() + own["text"].get<std::string>());
    for (const char* list : {"tokens", "token_logprobs", "top_logprobs"}) {
      const Json& all = choice["logprobs"][list];
      ASSERT_EQ(all.size(), scored + 6) << list;
      for (std::size_t at = 0; at < scored; ++at) EXPECT_EQ(all[at], alone["logprobs"][list][at]) << list << at;
      for (std::size_t at = 0; at < 6; ++at) EXPECT_EQ(all[scored + at], own["logprobs"][list][at]) << list << at;
    }
    EXPECT_EQ(streamed.at(i)["text"], choice["text"]);
    EXPECT_EQ(streamed.at(i)["logprobs"], choice["logprobs"]);
  }
}

// Each token's offset is where its text begins in the choice's text, where it has any: <s> has none, and the first word
// none of the space that its token begins with.
TEST(Echo, OffsetsIndexTheText) {
  TinyServer server;
  Json body = text_body("Once upon a time, </s>l\u00e9g", 6);
  body["logprobs"] = 0;
  body["echo"] = true;
  body["ignore_eos"] = true;
  for (const Json& prompt : {body["prompt"], Json{1, 403, 407, 261, 378}}) {
    body["prompt"] = prompt;
    const Json choice = whole(server, "/v1/completions", body)["choices"][0];
    const Json &tokens = choice["logprobs"]["tokens"], &offsets = choice["logprobs"]["text_offset"];
    std::vector<std::string> characters;
    for (const char c : choice["text"].get<std::string>()) {
      if ((c & 0xC0) != 0x80) characters.emplace_back();
      characters.back() += c;
    }
    std::size_t named = 0;
    for (std::size_t i = 0; i < tokens.size(); ++i) {
      const auto begin = offsets[i].get<std::size_t>();
      const auto end = i + 1 < tokens.size() ? offsets[i + 1].get<std::size_t>() : characters.size();
      ASSERT_LE(begin, end) << i;
      ASSERT_LE(end, characters.size()) << i;
      std::string text;
      for (std::size_t at = begin; at < end; ++at) text += characters[at];
      const auto token = tokens[i].get<std::string>();
      if (text.empty() || token.starts_with("bytes:")) continue;
      ++named;
      EXPECT_TRUE(token == text || token == " " + text) << i << " '" << token << "' is at '" << text << "'";
    }
    EXPECT_GE(named + 4, tokens.size()) << choice;
    EXPECT_EQ(offsets[0], 0);
  }
  body["prompt"] = "Once upon a time";
  const Json choice = whole(server, "/v1/completions", body)["choices"][0];
  EXPECT_EQ(choice["logprobs"]["tokens"][0], "<s>");
  EXPECT_EQ(choice["logprobs"]["text_offset"][1], 0);
  EXPECT_EQ(choice["logprobs"]["text_offset"][2].get<std::size_t>() + 1,
            choice["logprobs"]["tokens"][1].get<std::string>().size());
}

TEST(Choices, EveryPromptHasItsOwnAndEqualsARequestOfItsOwn) {
  TinyServer server;
  const Json prompts = {"Once upon a time", "The cat", "One day, Tom"};
  Json body = text_body(prompts, 20);
  const Json reply = whole(server, "/v1/completions", body);
  ASSERT_EQ(reply["choices"].size(), 3u);
  int prompt_tokens = 0;
  for (std::size_t i = 0; i < 3; ++i) {
    const Json alone = whole(server, "/v1/completions", text_body(prompts[i], 20));
    EXPECT_EQ(reply["choices"][i]["index"], i);
    EXPECT_EQ(reply["choices"][i]["text"], alone["choices"][0]["text"]);
    prompt_tokens += alone["usage"]["prompt_tokens"].get<int>();
  }
  EXPECT_EQ(reply["usage"]["prompt_tokens"], prompt_tokens);
  EXPECT_EQ(reply["usage"]["completion_tokens"], 60);
  body["stream"] = true;
  const auto streamed = joined(post(server.port(), "/v1/completions", body));
  ASSERT_EQ(streamed.size(), 3u);
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(streamed.at(i)["text"], reply["choices"][static_cast<std::size_t>(i)]["text"]);
    EXPECT_EQ(streamed.at(i)["finish_reason"], "length");
  }
}

TEST(Choices, NHasSeedsOfTheirOwnAndTheFirstIsThatOfN1) {
  TinyServer server(true);
  Json body = chat_body(20);
  body["temperature"] = 1;
  body["seed"] = 11;
  const Json alone = whole(server, "/v1/chat/completions", body);
  body["n"] = 4;
  const Json reply = whole(server, "/v1/chat/completions", body);
  ASSERT_EQ(reply["choices"].size(), 4u);
  EXPECT_EQ(reply["choices"][0], alone["choices"][0]);
  std::set<std::string> texts;
  for (const Json& choice : reply["choices"]) texts.insert(choice["message"]["content"].get<std::string>());
  EXPECT_EQ(texts.size(), 4u);
  EXPECT_EQ(reply["usage"]["prompt_tokens"], alone["usage"]["prompt_tokens"]);
  EXPECT_EQ(reply["usage"]["completion_tokens"], 80);
  EXPECT_EQ(whole(server, "/v1/chat/completions", body)["choices"], reply["choices"]);
  body["stream"] = true;
  const auto streamed = joined(post(server.port(), "/v1/chat/completions", body));
  ASSERT_EQ(streamed.size(), 4u);
  for (int i = 0; i < 4; ++i) {
    EXPECT_EQ(streamed.at(i)["text"], reply["choices"][static_cast<std::size_t>(i)]["message"]["content"]);
  }
}

// A queue that is not full takes a request as a whole; one that cannot be served in full starts nothing.
TEST(Choices, OfOneRequestMayBeMoreThanTheQueueHolds) {
  TinyServer server(false, {"--max-queue-size", "4"});
  Json body = text_body(Json(40, "a"), 2);
  body["n"] = 3;
  const Json reply = whole(server, "/v1/completions", body);
  EXPECT_EQ(reply["choices"].size(), 120u);
  body["prompt"].push_back(Json(600, 5));  // too long for the context
  EXPECT_EQ(post(server.port(), "/v1/completions", body).status, 400);
  EXPECT_EQ(whole(server, "/v1/completions", text_body("a", 2))["choices"].size(), 1u);
  EXPECT_EQ(server.metric("tenon:requests_cancelled_total"), 0);
  EXPECT_EQ(server.metric("tenon:request_prompt_tokens_count"), 121);
}

TEST(Choices, AHangUpEndsAllOfThem) {
  TinyServer server;
  Json body = text_body(Json::array({"a", "b", "c"}), 400);
  body["n"] = 2;
  body["ignore_eos"] = true;
  body["stream"] = true;
  {
    Connection connection(server.port());
    connection.send(http_text("POST", "/v1/completions", body.dump()));
    EXPECT_TRUE(connection.wait_for("data: "));
  }
  for (int i = 0; i < 400 && server.metric("tenon:num_requests_running") > 0; ++i) usleep(5000);
  EXPECT_EQ(server.metric("tenon:num_requests_running"), 0);
  EXPECT_EQ(server.metric("tenon:num_requests_waiting"), 0);
}

TEST(Penalties, PreventRepetitionAndBiasForcesAToken) {
  TinyServer server;
  Json body = text_body("Once upon a time", 60);
  body["logprobs"] = 0;
  body["presence_penalty"] = 2;
  body["frequency_penalty"] = 2;
  body["repetition_penalty"] = 50;  // nothing that was said may be said again
  const Json tokens = whole(server, "/v1/completions", body)["choices"][0]["logprobs"]["tokens"];
  std::set<std::string> distinct;
  for (const Json& token : tokens) distinct.insert(token.get<std::string>());
  EXPECT_GE(distinct.size() + 5, tokens.size());
  body = text_body("Once upon a time", 5);
  body["logit_bias"] = {{"426", 100}};  // "."
  EXPECT_EQ(whole(server, "/v1/completions", body)["choices"][0]["text"], ".....");
  body["logit_bias"] = {{"512", 1}};
  const HttpReply refused = post(server.port(), "/v1/completions", body);
  EXPECT_EQ(refused.status, 400);
  EXPECT_EQ(refused.json()["error"]["param"], "logit_bias");
}

TEST(Stops, IncludedAndNotBeforeMinTokens) {
  TinyServer server;
  Json body = text_body(Json::array({1}), 100);
  body["stop"] = "little";
  body["include_stop_str_in_output"] = true;
  EXPECT_EQ(whole(server, "/v1/completions", body)["choices"][0]["text"], "Once upon a time, there was a little");
  body = text_body(Json::array({1}), 100);
  body["stop"] = " ";
  body["min_tokens"] = 20;
  const Json reply = whole(server, "/v1/completions", body);
  EXPECT_GE(reply["usage"]["completion_tokens"], 20);
  EXPECT_LT(reply["usage"]["completion_tokens"], 30);
  EXPECT_EQ(reply["choices"][0]["finish_reason"], "stop");
}

}  // namespace
}  // namespace tenon::e2e
