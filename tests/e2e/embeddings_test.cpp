// /v1/embeddings of a tiny BERT: shapes, errors, many clients, clients that go away, and shutting down.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>
#include <cmath>
#include <cstring>
#include <fstream>
#include <thread>

#include "base/json.h"
#include "embedding_model.h"
#include "server_process.h"

namespace tenon::e2e {
namespace {

using testing::HasSubstr;

constexpr int kMaxLength = 64;

class EmbeddingServer {
 public:
  explicit EmbeddingServer(const std::vector<std::string>& more = {}, const std::string& golden = "bert/gelu",
                           int max_seq_length = kMaxLength) {
    make_embedding_model(golden, dir_.path(), max_seq_length);
    server_ = std::make_unique<TinyServer>(dir_.path(), more);
  }
  TinyServer* operator->() const { return server_.get(); }
  HttpReply post(Json body) const {
    if (!body.contains("model")) body["model"] = "tiny";
    return e2e::post(server_->port(), "/v1/embeddings", body);
  }
  HttpReply get(const std::string& path) const { return request(server_->port(), "GET", path); }
  Json data(Json body) const {
    const HttpReply reply = post(std::move(body));
    EXPECT_EQ(reply.status, 200) << reply.body;
    return reply.json().value("data", Json::array());
  }
  Json error(Json body, int status = 400) const {
    const HttpReply reply = post(std::move(body));
    EXPECT_EQ(reply.status, status) << reply.body;
    return reply.json().value("error", Json::object());
  }

 private:
  TempDir dir_;
  std::unique_ptr<TinyServer> server_;
};

std::vector<float> decoded(const std::string& base64) {
  const std::string digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string bytes;
  unsigned bits = 0, count = 0;
  for (const char c : base64) {
    if (c == '=') break;
    bits = bits << 6 | static_cast<unsigned>(digits.find(c));
    if ((count += 6) >= 8) bytes += static_cast<char>(bits >> (count -= 8) & 255);
  }
  std::vector<float> out(bytes.size() / 4);
  std::memcpy(out.data(), bytes.data(), out.size() * 4);
  return out;
}

// Words of `i`'s own.
std::string text_of(int i, int words) {
  std::string text;
  for (int w = 0; w < words; ++w) text += (w ? " w" : "w") + std::to_string(4 + (i * 7 + w * 13) % 92);
  return text;
}

template <class F>
bool eventually(F done) {
  for (int i = 0; i < 500; ++i) {
    if (done()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return false;
}

TEST(ServeEmbeddings, EveryFormOfInputInOpenAisShape) {
  const EmbeddingServer server;
  const HttpReply reply = server.post({{"input", "w4 w5 w6"}});
  ASSERT_EQ(reply.status, 200) << reply.body;
  const Json one = reply.json();
  EXPECT_EQ(one["object"], "list");
  EXPECT_EQ(one["model"], "tiny");
  EXPECT_EQ(one["usage"], (Json{{"prompt_tokens", 5}, {"total_tokens", 5}}));
  ASSERT_EQ(one["data"].size(), 1u);
  EXPECT_EQ(one["data"][0]["object"], "embedding");
  EXPECT_EQ(one["data"][0]["index"], 0);
  const auto vector = one["data"][0]["embedding"].get<std::vector<float>>();
  ASSERT_EQ(vector.size(), 32u);
  double squares = 0;
  for (const float x : vector) squares += static_cast<double>(x) * static_cast<double>(x);
  EXPECT_NEAR(squares, 1.0, 1e-5);

  const Json list = server.data({{"input", {"w7", "w4 w5 w6"}}, {"user", "someone"}});
  ASSERT_EQ(list.size(), 2u);
  EXPECT_EQ(list[1]["index"], 1);
  EXPECT_EQ(list[1]["embedding"], one["data"][0]["embedding"]);
  EXPECT_NE(list[0]["embedding"], list[1]["embedding"]);
  EXPECT_EQ(server.data({{"input", {1, 4, 5, 6, 2}}}), one["data"]);
  EXPECT_EQ(server.data({{"input", {{1, 7, 2}, {1, 4, 5, 6, 2}}}}), list);
  const Json base64 = server.data({{"input", "w4 w5 w6"}, {"encoding_format", "base64"}});
  EXPECT_EQ(decoded(base64[0]["embedding"].get<std::string>()), vector);
}

TEST(ServeEmbeddings, ErrorsNameTheParameter) {
  const EmbeddingServer server;
  EXPECT_EQ(server.error({{"input", ""}})["param"], "input");
  EXPECT_EQ(server.error({{"input", Json::array()}})["param"], "input");
  EXPECT_EQ(server.error({{"input", {{1, 2}, Json::array()}}})["message"], "input[1] has no tokens");
  EXPECT_THAT(server.error({{"input", {96}}})["message"].get<std::string>(), HasSubstr("outside the vocabulary of 96"));
  // sentence_bert_config.json allows 64 of the 128 tokens that the config has.
  const Json longer = server.error({{"input", text_of(1, kMaxLength - 1)}});
  EXPECT_EQ(longer["param"], "input");
  EXPECT_EQ(longer["type"], "invalid_request_error");
  EXPECT_THAT(longer["message"].get<std::string>(), HasSubstr("has 65 tokens, but this model takes at most 64"));
  EXPECT_EQ(server.data({{"input", text_of(1, 80)}, {"truncate_prompt_tokens", -1}}),
            server.data({{"input", text_of(1, kMaxLength - 2)}}));
  EXPECT_EQ(server.error({{"input", "w4"}, {"dimensions", 8}})["param"], "dimensions");
  EXPECT_EQ(server.error({{"input", "w4"}, {"encoding_format", "hex"}})["param"], "encoding_format");
  EXPECT_EQ(server.error({{"input", "w4"}, {"stream", true}})["param"], "stream");
  EXPECT_EQ(server.error({{"input", Json(2049, "w4")}})["param"], "input");
  EXPECT_EQ(server.error({{"model", "other"}, {"input", "w4"}}, 404)["code"], "model_not_found");
  EXPECT_EQ(request(server->port(), "POST", "/v1/embeddings", "{").status, 400);
  EXPECT_EQ(request(server->port(), "GET", "/v1/embeddings").status, 405);
}

TEST(ServeEmbeddings, UnknownFieldsWhereTheServerAllowsThem) {
  const EmbeddingServer server({"--allow-unknown-fields"});
  EXPECT_EQ(server.data({{"input", "w4"}, {"my_own_field", 1}}).size(), 1u);
}

TEST(ServeEmbeddings, DimensionsWhereTheUserVouchesForThem) {
  const EmbeddingServer server({"--matryoshka"});
  const auto all = server.data({{"input", "w4 w9"}})[0]["embedding"].get<std::vector<float>>();
  const auto few = server.data({{"input", "w4 w9"}, {"dimensions", 8}})[0]["embedding"].get<std::vector<float>>();
  ASSERT_EQ(few.size(), 8u);
  for (std::size_t i = 1; i < few.size(); ++i) EXPECT_NEAR(few[i] / few[0], all[i] / all[0], 1e-4);
}

TEST(ServeEmbeddings, TheOtherEndpoints) {
  const EmbeddingServer server;
  EXPECT_EQ(server.get("/health").status, 200);
  EXPECT_EQ(server.get("/v1/models").json()["data"][0]["max_model_len"], kMaxLength);
  const Json tokens = post(server->port(), "/tokenize", {{"prompt", "w4 w5"}}).json();
  EXPECT_EQ(tokens["tokens"], (Json{1, 4, 5, 2}));
  EXPECT_EQ(post(server->port(), "/detokenize", {{"tokens", {4, 5}}}).json()["prompt"], "w4 w5");
  EXPECT_EQ(post(server->port(), "/tokenize", {{"messages", {{{"role", "user"}, {"content", "w4"}}}}}).status, 400);
  EXPECT_EQ(server.get("/tokenizer_info").status, 200);
  server.data({{"input", {"w4", "w5 w6"}}});
  EXPECT_EQ(server->metric("tenon:prompt_tokens_total"), 7);
  EXPECT_TRUE(eventually([&] { return server->metric("tenon:request_success_total") == 1; }));
  EXPECT_THAT(server->process().out(), HasSubstr("/v1/embeddings"));
  const Json chat = {{"model", "tiny"}, {"messages", {{{"role", "user"}, {"content", "w4"}}}}};
  for (const auto& [path, body] : {std::pair<const char*, Json>{"/v1/chat/completions", chat},
                                   {"/v1/completions", {{"model", "tiny"}, {"prompt", "w4"}}}}) {
    const HttpReply reply = post(server->port(), path, body);
    EXPECT_EQ(reply.status, 400);
    EXPECT_THAT(reply.json()["error"]["message"].get<std::string>(), HasSubstr("use /v1/embeddings"));
  }
}

TEST(ServeEmbeddings, AModelThatGeneratesSaysSo) {
  const TinyServer server;
  const HttpReply reply = post(server.port(), "/v1/embeddings", {{"model", "tiny"}, {"input", "a"}});
  EXPECT_EQ(reply.status, 400);
  EXPECT_THAT(reply.json()["error"]["message"].get<std::string>(), HasSubstr("generates text"));
}

TEST(ServeEmbeddings, ADecoderEmbedsOrGeneratesAsToldTo) {
  const EmbeddingServer embeds({}, "qwen3/embed_untied", 0);
  EXPECT_EQ(embeds.data({{"input", "w4 w5"}})[0]["embedding"].size(), 32u);
  const EmbeddingServer told({"--task", "embed"}, "qwen3/gqa_tied", 0);
  EXPECT_EQ(told.data({{"input", "w4 w5"}})[0]["embedding"].size(), 32u);
  const EmbeddingServer generates({"--task", "generate"}, "qwen3/embed_untied", 0);
  const Json body = {{"model", "tiny"}, {"prompt", "w4 w5"}, {"max_tokens", 2}, {"ignore_eos", true}};
  EXPECT_EQ(post(generates->port(), "/v1/completions", body).json()["usage"]["completion_tokens"], 2);
  EXPECT_EQ(post(embeds->port(), "/v1/completions", body).status, 400);
  TempDir dir;
  make_embedding_model("bert/gelu", dir.path());
  const Finished refused = run({"serve", dir.path().string(), "--port", "0", "--task", "generate"});
  EXPECT_EQ(refused.status, 1);
  EXPECT_THAT(refused.err, HasSubstr("a model for embedding, not for text-generation"));
}

// Whole masked language models and bare encoders are published for embedding: their vectors are the same.
TEST(Encode, TheOtherClassOfAnEncoder) {
  for (const auto& [golden, other] : {std::pair("mpnet/gelu", "MPNetModel"), {"bert/gelu", "BertForMaskedLM"}}) {
    const TempDir dir;
    make_embedding_model(golden, dir.path());
    const Finished own = run({"encode", dir.path().string(), "-t", "w4 w5"});
    ASSERT_EQ(own.status, 0) << own.err;
    Json config = *read_json_file((dir.path() / "config.json").string());
    ASSERT_NE(config["architectures"][0], other);
    config["architectures"][0] = other;
    std::ofstream(dir.path() / "config.json") << config.dump();
    const Finished same = run({"encode", dir.path().string(), "-t", "w4 w5"});
    EXPECT_EQ(same.status, 0) << same.err;
    EXPECT_EQ(same.out, own.out) << other;
  }
}

TEST(ServeEmbeddings, SixtyFourAtOnceAreEachAsIfAlone) {
  const EmbeddingServer server;
  constexpr int kClients = 64;
  const auto body = [](int i) {
    Json input = Json::array();
    for (int t = 0; t <= i % 5; ++t) input.push_back(text_of(i + t, 1 + (i * 11 + t * 17) % 60));
    return Json{{"input", std::move(input)}};
  };
  std::vector<Json> alone(kClients), together(kClients);
  for (int i = 0; i < kClients; ++i) alone[static_cast<std::size_t>(i)] = server.data(body(i));
  std::vector<std::thread> clients;
  for (int i = 0; i < kClients; ++i) {
    clients.emplace_back([&, i] { together[static_cast<std::size_t>(i)] = server.data(body(i)); });
  }
  for (std::thread& client : clients) client.join();
  EXPECT_EQ(together, alone);
}

// As many texts as a request may have, each as long as the model takes: the better part of a second.
std::string large_request() {
  Json input = Json::array();
  for (int i = 0; i < 2048; ++i) input.push_back(Json(kMaxLength, 4 + i % 90));
  return Json{{"model", "tiny"}, {"input", input}, {"encoding_format", "base64"}}.dump();
}

TEST(ServeEmbeddings, AFullQueueAsksToComeAgain) {
  const EmbeddingServer server({"--max-queue-size", "4"});
  const std::string body = large_request();
  constexpr int kClients = 8;
  std::vector<std::unique_ptr<Connection>> clients;
  for (int i = 0; i < kClients; ++i) {
    clients.push_back(std::make_unique<Connection>(server->port()));
    clients.back()->send(http_text("POST", "/v1/embeddings", body));
  }
  int answered = 0, refused = 0;
  for (auto& client : clients) {
    const HttpReply reply = client->read();
    answered += reply.status == 200;
    refused += reply.status == 429;
    if (reply.status != 429) continue;
    EXPECT_EQ(reply.headers.count("retry-after"), 1u);
    EXPECT_EQ(reply.json()["error"]["code"], "queue_full");
  }
  EXPECT_GT(answered, 0);
  EXPECT_GT(refused, 0);
  EXPECT_EQ(answered + refused, kClients);
  EXPECT_EQ(server.post({{"input", "w4"}}).status, 200);
}

TEST(ServeEmbeddings, HangingUpCancels) {
  const EmbeddingServer server;
  const std::string body = large_request();
  {
    std::vector<std::unique_ptr<Connection>> clients;
    for (int i = 0; i < 6; ++i) {
      clients.push_back(std::make_unique<Connection>(server->port()));
      clients.back()->send(http_text("POST", "/v1/embeddings", body));
    }
    EXPECT_TRUE(eventually([&] { return server->metric("tenon:num_requests_running") > 0; }));
  }
  // One after the other: each is a page of its own, and what waits in one may run in the next.
  for (const char* name : {"num_requests_waiting", "num_requests_running", "kv_cache_usage_perc"}) {
    EXPECT_TRUE(eventually([&] { return server->metric(std::string("tenon:") + name) == 0; })) << name;
  }
  EXPECT_GT(server->metric("tenon:requests_cancelled_total"), 0);
  EXPECT_GE(server->metric("tenon:request_success_total", "finished_reason=\"abort\""),
            server->metric("tenon:requests_cancelled_total"));
  EXPECT_EQ(server.post({{"input", "w4"}}).status, 200);
}

TEST(ServeEmbeddings, WhatRunsFinishesAtShutdown) {
  const EmbeddingServer server;
  Connection client(server->port());
  client.send(http_text("POST", "/v1/embeddings", large_request()));
  EXPECT_TRUE(eventually([&] { return server->metric("tenon:num_requests_running") > 0; }));
  server->process().signal(SIGTERM);
  const HttpReply reply = client.read();
  EXPECT_EQ(reply.status, 200);
  EXPECT_EQ(reply.json()["data"].size(), 2048u);
  EXPECT_EQ(server->process().wait().status, 0);
}

TEST(Encode, LinesOfNumbersTruncatedOnlyWhereAsked) {
  TempDir dir;
  make_embedding_model("bert/gelu", dir.path(), kMaxLength);
  const std::string model = dir.path().string();
  const Finished two = run({"encode", model, "-t", "w4 w5", "-t", "w6"});
  ASSERT_EQ(two.status, 0) << two.err;
  EXPECT_EQ(std::ranges::count(two.out, '\n'), 2);
  EXPECT_EQ(Json::parse(two.out.substr(0, two.out.find('\n'))).size(), 32u);
  const Finished longer = run({"encode", model, "-t", text_of(1, 80)});
  EXPECT_EQ(longer.status, 1);
  EXPECT_THAT(longer.err, HasSubstr("has 82 tokens, but this model takes at most 64"));
  const Finished cut = run({"encode", model, "--truncate", "-t", text_of(1, 80)});
  ASSERT_EQ(cut.status, 0) << cut.err;
  EXPECT_EQ(cut.out, run({"encode", model, "-t", text_of(1, kMaxLength - 2)}).out);
  // More than sentence_bert_config.json says, where the user asks for it.
  EXPECT_EQ(run({"encode", model, "--max-length", "128", "-t", text_of(1, 80)}).status, 0);
}

}  // namespace
}  // namespace tenon::e2e
