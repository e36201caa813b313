// Many clients at once, clients that go away, and shutting down.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <signal.h>

#include <atomic>
#include <chrono>
#include <thread>

#include "server_process.h"

namespace tenon::e2e {
namespace {

Json long_request(bool stream) {
  return {{"model", "tiny"},    {"prompt", Json::array({1})}, {"temperature", 1},
          {"ignore_eos", true}, {"max_tokens", 511},          {"stream", stream}};
}

// Waits up to 5 s for `done`.
template <class F>
bool eventually(F done) {
  for (int i = 0; i < 500; ++i) {
    if (done()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return false;
}

TEST(ServeLoad, SixtyFourAtOnceAreEachAsIfAlone) {
  TinyServer server;
  constexpr int kClients = 64;
  const auto body = [](int i) {
    return Json{{"model", "tiny"},
                {"prompt", i % 3 ? "Once upon a time" : "Lily and Tom went to the park. They saw a big dog and"},
                {"temperature", i % 2 ? 1.0 : 0.0},
                {"seed", i},
                {"max_tokens", 16 + i}};
  };
  const auto choices = [&](int i) { return post(server.port(), "/v1/completions", body(i)).json()["choices"]; };
  std::vector<Json> alone(kClients), together(kClients);
  for (int i = 0; i < kClients; ++i) alone[static_cast<std::size_t>(i)] = choices(i);
  std::vector<std::thread> clients;
  for (int i = 0; i < kClients; ++i) {
    clients.emplace_back([&, i] { together[static_cast<std::size_t>(i)] = choices(i); });
  }
  for (std::thread& client : clients) client.join();
  for (std::size_t i = 0; i < kClients; ++i) {
    EXPECT_TRUE(alone[i].is_array() && alone[i].size() == 1) << alone[i];
    EXPECT_EQ(together[i], alone[i]) << "request " << i;
  }
}

TEST(ServeLoad, APromptOfMegabytesIsReadWhileOthersAreServed) {
  TinyServer server;
  std::string text;
  while (text.size() < (std::size_t{2} << 20)) text += "One day, Lily and Tom went to the park. ";
  HttpReply reply;
  std::atomic<bool> answered = false;
  std::thread client([&] {
    reply = post(server.port(), "/v1/completions", {{"model", "tiny"}, {"prompt", text}, {"max_tokens", 1}});
    answered = true;
  });
  std::this_thread::sleep_for(std::chrono::milliseconds(200));  // the tokenizer takes seconds
  EXPECT_EQ(request(server.port(), "GET", "/health").status, 200);
  EXPECT_EQ(post(server.port(), "/v1/completions", long_request(false)).status, 200);
  EXPECT_FALSE(answered);
  client.join();
  EXPECT_EQ(reply.status, 400);
  EXPECT_EQ(reply.json()["error"]["param"], "prompt") << reply.body;
}

// The connection ends before the tokenizer does: the next long one is read all the same.
TEST(ServeLoad, AHangUpWhileAPromptIsReadHarmsNothing) {
  TinyServer server;
  const std::string text(std::size_t{1} << 20, 'a');
  const Json body = {{"model", "tiny"}, {"prompt", text}, {"max_tokens", 1}};
  for (int i = 0; i < 4; ++i) Connection(server.port()).send(http_text("POST", "/v1/completions", body.dump()));
  EXPECT_EQ(post(server.port(), "/v1/completions", body).status, 400);
  EXPECT_EQ(post(server.port(), "/v1/completions", long_request(false)).status, 200);
}

class ServeHangUp : public testing::TestWithParam<bool> {};

TEST_P(ServeHangUp, CancelsTheRequest) {
  TinyServer server;
  constexpr int kClients = 32;
  std::vector<std::unique_ptr<Connection>> clients;
  for (int i = 0; i < kClients; ++i) {
    clients.push_back(std::make_unique<Connection>(server.port()));
    clients.back()->send(http_text("POST", "/v1/completions", long_request(GetParam()).dump()));
  }
  if (GetParam()) {
    EXPECT_TRUE(clients.back()->wait_for("data: "));
  }
  clients.clear();
  EXPECT_TRUE(eventually([&] { return server.metric("tenon:requests_cancelled_total") >= kClients / 2; }))
      << server.metric("tenon:requests_cancelled_total");
  EXPECT_TRUE(eventually([&] {
    return server.metric("tenon:num_requests_running") == 0 && server.metric("tenon:num_requests_waiting") == 0;
  }));
  EXPECT_EQ(server.metric("tenon:kv_cache_usage_perc"), 0);
  // Counted once each, of those that were begun.
  EXPECT_EQ(server.metric("tenon:request_success_total", "finished_reason=\"abort\""),
            server.metric("tenon:requests_cancelled_total"));
  EXPECT_EQ(server.metric("tenon:request_params_n_count"), server.metric("tenon:request_success_total"));
  EXPECT_LT(server.metric("tenon:iteration_tokens_total_sum"), kClients * 511);
  EXPECT_EQ(request(server.port(), "GET", "/health").status, 200);
}

INSTANTIATE_TEST_SUITE_P(Both, ServeHangUp, testing::Bool(),
                         [](const auto& instance) { return instance.param ? "Streamed" : "Whole"; });

TEST(ServeShutdown, RunningStreamsFinish) {
  TinyServer server;
  std::vector<std::unique_ptr<Connection>> clients;
  for (int i = 0; i < 16; ++i) {
    clients.push_back(std::make_unique<Connection>(server.port()));
    clients.back()->send(http_text("POST", "/v1/completions", long_request(true).dump()));
  }
  for (auto& client : clients) ASSERT_TRUE(client->wait_for("data: "));
  server.process().signal(SIGTERM);
  for (auto& client : clients) {
    const HttpReply reply = client->read();
    EXPECT_TRUE(reply.complete);
    const auto list = events(reply.body);
    ASSERT_GE(list.size(), 2u);
    EXPECT_EQ(list.back(), "[DONE]");
    EXPECT_THAT(list[list.size() - 2], testing::HasSubstr(R"("finish_reason":"length")"));
  }
  const Finished end = server.process().wait();
  EXPECT_EQ(end.status, 0) << end.err;
}

TEST(ServeShutdown, ATimeoutCutsThemOff) {
  TinyServer server(false, {"--shutdown-timeout", "0"});
  std::vector<std::unique_ptr<Connection>> clients;
  for (int i = 0; i < 64; ++i) {
    clients.push_back(std::make_unique<Connection>(server.port()));
    clients.back()->send(http_text("POST", "/v1/completions", long_request(true).dump()));
  }
  ASSERT_TRUE(clients.back()->wait_for("data: "));
  server.process().signal(SIGTERM);
  const Finished end = server.process().wait();
  EXPECT_EQ(end.status, 0);
  EXPECT_THAT(end.err, testing::HasSubstr("not answered within 0 s and are cut off (--shutdown-timeout)"));
  EXPECT_FALSE(clients.back()->read().complete);
}

TEST(ServeShutdown, NewWorkIsRefusedMeanwhile) {
  TinyServer server;
  std::vector<std::unique_ptr<Connection>> clients;
  for (int i = 0; i < 24; ++i) {
    clients.push_back(std::make_unique<Connection>(server.port()));
    clients.back()->send(http_text("POST", "/v1/completions", long_request(false).dump()));
  }
  Connection late(server.port());
  ASSERT_TRUE(eventually([&] { return server.metric("tenon:num_requests_running") > 0; }));
  server.process().signal(SIGTERM);
  ASSERT_TRUE(eventually([&] { return server.process().err().find("shutting down") != std::string::npos; }));
  late.send(http_text("POST", "/v1/completions", long_request(false).dump()));
  const HttpReply refused = late.read();
  EXPECT_EQ(refused.status, 503) << refused.body;
  EXPECT_EQ(refused.headers.count("connection") ? refused.headers.at("connection") : "", "close");
  for (auto& client : clients) EXPECT_EQ(client->read().status, 200);
  EXPECT_EQ(server.process().wait().status, 0);
}

TEST(ServeShutdown, AnIdleServerEndsAtOnce) {
  TinyServer server;
  Connection idle(server.port());
  server.process().signal(SIGTERM);
  EXPECT_EQ(server.process().wait().status, 0);
}

TEST(ServeShutdown, ASecondSignalEndsRunningRequests) {
  TinyServer server;
  std::vector<std::unique_ptr<Connection>> clients;
  for (int i = 0; i < 64; ++i) {
    clients.push_back(std::make_unique<Connection>(server.port()));
    clients.back()->send(http_text("POST", "/v1/completions", long_request(i % 2 == 0).dump()));
  }
  ASSERT_TRUE(clients[0]->wait_for("data: "));
  server.process().signal(SIGTERM);
  server.process().signal(SIGINT);
  EXPECT_EQ(server.process().wait().status, 0);
}

}  // namespace
}  // namespace tenon::e2e
