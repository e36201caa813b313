// What a server does with bugs that throw, and with clients that are slow to send or to read.
#include "server/session.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <boost/asio/read_until.hpp>
#include <boost/asio/streambuf.hpp>
#include <boost/asio/write.hpp>
#include <chrono>
#include <future>
#include <stdexcept>
#include <thread>

#include "server/test_support.h"

namespace tenon::server {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using testing::HasSubstr;

bool prompt_has(const engine::Submission& submission, char c) {
  const auto& prompt = submission.request.prompt;
  return std::ranges::find(prompt, std::int32_t{c}) != prompt.end();
}

// Answers "ok" at once; throws on '!'; a prompt with '*' has a reply of megabytes that does not end.
class QuickEngine final : public engine::Engine {
 public:
  Result<std::vector<engine::RequestId>> submit_all(std::vector<engine::Submission> submissions) override {
    std::vector<engine::RequestId> ids;
    for (auto& submission : submissions) {
      if (prompt_has(submission, '!')) throw std::runtime_error("a bug of the engine");
      ids.push_back(++last_id_);
      const bool endless = prompt_has(submission, '*');
      for (const char c : endless ? std::string(60000, 'x') : std::string("ok")) {
        send(submission, {.id = last_id_, .token = c});
      }
      if (!endless) send(submission, {.id = last_id_, .finish = engine::FinishReason::kStop});
    }
    return ids;
  }
  void cancel(engine::RequestId) override { ++cancelled; }
  void finish(engine::RequestId) override {}
  void drain() override {}
  engine::Stats stats() const override { return {}; }
  const engine::Options& options() const override { return options_; }

  std::atomic<int> cancelled = 0;

 private:
  static void send(const engine::Submission& submission, const engine::TokenEvent& event) {
    (*submission.sink)({&event, 1});
  }

  engine::Options options_{.max_length = 100000};
  engine::RequestId last_id_ = 0;
};

// Throws on '?'.
class ThrowingTemplate final : public chat::ChatTemplate {
 public:
  Result<std::string> render(const chat::RenderInput& input, std::int64_t) const override {
    const auto content = input.messages[0]["content"].get<std::string>();
    if (content.contains('?')) throw std::runtime_error("a bug of the template");
    return content;
  }
};

class SessionTest : public testing::Test {
 protected:
  SessionTest() {
    const Served served{.generator = std::make_shared<generate::Generator>(
                            generate::Generator::Parts{.engine = engine_,
                                                       .tokenizer = std::make_shared<Bytes>(),
                                                       .chat_template = std::make_shared<ThrowingTemplate>(),
                                                       .eos_token_ids = {}})};
    std::promise<void> ready;
    thread_ = std::thread([this, served, &ready] {
      EXPECT_TRUE(server_->run(served, {.model_name = "m", .max_length = 100000}, false, [&] { ready.set_value(); }));
    });
    ready.get_future().wait();
  }
  ~SessionTest() override {
    server_->stop();
    thread_.join();
  }

  static std::string request(const std::string& content, bool stream = false) {
    const Json body = {
        {"model", "m"}, {"stream", stream}, {"messages", Json::array({{{"role", "user"}, {"content", content}}})}};
    const std::string text = body.dump();
    return "POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: " +
           std::to_string(text.size()) + "\r\n\r\n" + text;
  }
  tcp::socket connect(const std::string& sent) {
    tcp::socket socket(io_);
    socket.connect({asio::ip::address_v4::loopback(), server_->port()});
    asio::write(socket, asio::buffer(sent));
    return socket;
  }
  // All that comes until the server closes the connection.
  std::string answer(const std::string& sent) {
    tcp::socket socket = connect(sent);
    asio::streambuf all;
    boost::system::error_code end;
    asio::read_until(socket, all, "what never comes", end);
    return {asio::buffers_begin(all.data()), asio::buffers_end(all.data())};
  }

  std::shared_ptr<QuickEngine> engine_ = std::make_shared<QuickEngine>();
  std::unique_ptr<Server> server_ = *Server::create({.port = 0, .idle_seconds = 1});
  std::thread thread_;
  asio::io_context io_;
};

TEST_F(SessionTest, WhatThrowsEndsItsRequestWith500AndNothingElse) {
  const std::string large(20000, 'a');  // read on a thread of its own
  for (const std::string& content : {std::string("why?"), large + "?", std::string("now!"), large + "!"}) {
    for (const bool stream : {false, true}) {
      const std::string failed = answer(request(content, stream));
      EXPECT_THAT(failed, HasSubstr("HTTP/1.1 500 ")) << content.back();
      EXPECT_THAT(failed, HasSubstr(content.back() == '?' ? "a bug of the template" : "a bug of the engine"));
    }
    EXPECT_THAT(answer(request("hi")), HasSubstr("\"content\":\"ok\"")) << "others go on";
  }
}

TEST_F(SessionTest, AClientThatSendsAByteAtATimeIsClosedAtTheTimeLimit) {
  const std::string header = "POST /v1/chat/completions HTTP/1.1\r\nHo", body = request("hi").substr(0, 130);
  for (const std::string& half : {header, body, std::string()}) {
    const auto begin = std::chrono::steady_clock::now();
    tcp::socket slow = connect(half);
    slow.non_blocking(true);
    boost::system::error_code end = asio::error::would_block;
    for (int i = 0; i < 100 && end == asio::error::would_block; ++i) {
      boost::system::error_code ignored;
      if (!half.empty()) asio::write(slow, asio::buffer("x", 1), ignored);  // no new time for each
      std::this_thread::sleep_for(std::chrono::milliseconds(100));
      char byte = 0;
      slow.read_some(asio::buffer(&byte, 1), end);
    }
    EXPECT_TRUE(end && end != asio::error::would_block) << half;
    EXPECT_GT(std::chrono::steady_clock::now() - begin, std::chrono::milliseconds(800)) << half;
  }
}

TEST_F(SessionTest, AReaderThatDoesNotReadIsHungUpOn) {
  tcp::socket silent(io_);
  silent.open(tcp::v4());
  silent.set_option(tcp::socket::receive_buffer_size(4096));
  silent.connect({asio::ip::address_v4::loopback(), server_->port()});
  asio::write(silent, asio::buffer(request("*", true)));
  for (int i = 0; i < 400 && engine_->cancelled == 0; ++i) std::this_thread::sleep_for(std::chrono::milliseconds(50));
  EXPECT_EQ(engine_->cancelled, 1);
  EXPECT_THAT(answer(request("hi")), HasSubstr("\"content\":\"ok\""));
}

}  // namespace
}  // namespace tenon::server
