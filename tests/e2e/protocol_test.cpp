// HTTP itself: what clients and proxies may send, rightly or wrongly.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <cmath>
#include <ctime>

#include "server_process.h"

namespace tenon::e2e {
namespace {

using testing::HasSubstr;

Json completion(bool stream) {
  return {{"model", "tiny"}, {"prompt", Json::array({1})}, {"temperature", 0}, {"max_tokens", 3}, {"stream", stream}};
}

TEST(ServeProtocol, AConnectionServesRequestAfterRequest) {
  TinyServer server;
  Connection connection(server.port());
  for (int i = 0; i < 5; ++i) {
    connection.send(http_text("POST", "/v1/completions", completion(i % 2 == 1).dump()));
    const HttpReply reply = connection.read();
    EXPECT_EQ(reply.status, 200);
    EXPECT_TRUE(reply.complete);
    connection.send(http_text("GET", "/health"));
    EXPECT_EQ(connection.read().status, 200);
  }
}

TEST(ServeProtocol, EveryAnswerSaysWhenItWasMade) {
  TinyServer server;
  Connection connection(server.port());
  for (const std::string& request :
       {http_text("GET", "/health"), http_text("POST", "/v1/completions", completion(true).dump()),
        http_text("GET", "/nothing"), std::string("no HTTP at all\r\n\r\n")}) {
    connection.send(request);
    const HttpReply reply = connection.read();
    ASSERT_TRUE(reply.headers.contains("date")) << reply.status;
    std::tm utc{};
    ASSERT_NE(strptime(reply.headers.at("date").c_str(), "%a, %d %b %Y %H:%M:%S GMT", &utc), nullptr);
    EXPECT_LE(std::abs(std::difftime(std::time(nullptr), timegm(&utc))), 60) << reply.headers.at("date");
  }
}

TEST(ServeProtocol, PipelinedRequestsAreAnsweredInOrder) {
  TinyServer server;
  Connection connection(server.port());
  connection.send(http_text("POST", "/v1/completions", completion(true).dump()) + http_text("GET", "/nothing") +
                  http_text("POST", "/v1/completions", completion(false).dump()) + http_text("GET", "/health"));
  EXPECT_THAT(connection.read().body, HasSubstr("[DONE]"));
  EXPECT_EQ(connection.read().status, 404);
  EXPECT_THAT(connection.read().body, HasSubstr("text_completion"));
  EXPECT_EQ(connection.read().status, 200);
}

TEST(ServeProtocol, AFloodOfPipelinedRequestsDoesNotCancelTheFirst) {
  TinyServer server;
  Connection connection(server.port());
  Json body = completion(false);
  body["max_tokens"] = 300;
  std::string all;
  for (int i = 0; i < 8; ++i) all += http_text("POST", "/v1/completions", body.dump() + std::string(60000, ' '));
  connection.send(all);
  for (int i = 0; i < 8; ++i) EXPECT_EQ(connection.read().status, 200) << i;
}

TEST(ServeProtocol, AClientThatHasFinishedSendingGetsItsQuickAnswers) {
  TinyServer server;
  Connection connection(server.port());
  connection.send(http_text("GET", "/health") + http_text("GET", "/v1/models"));
  connection.finish_sending();
  EXPECT_EQ(connection.read().status, 200);
  EXPECT_THAT(connection.read().body, HasSubstr("tiny"));
  EXPECT_TRUE(connection.at_end());
}

TEST(ServeProtocol, ConnectionCloseIsHonoured) {
  TinyServer server;
  for (const bool stream : {false, true}) {
    Connection connection(server.port());
    connection.send(http_text("POST", "/v1/completions", completion(stream).dump(), {{"Connection", "close"}}));
    const HttpReply reply = connection.read();
    EXPECT_EQ(reply.headers.at("connection"), "close");
    EXPECT_TRUE(connection.at_end());
  }
}

TEST(ServeProtocol, Http10StreamsEndWithTheConnection) {
  TinyServer server;
  Connection connection(server.port());
  const std::string body = completion(true).dump();
  connection.send("POST /v1/completions HTTP/1.0\r\nConnection: keep-alive\r\nContent-Length: " +
                  std::to_string(body.size()) + "\r\n\r\n" + body);
  const HttpReply reply = connection.read();
  EXPECT_EQ(reply.status, 200);
  EXPECT_TRUE(reply.complete);
  EXPECT_EQ(reply.headers.count("transfer-encoding"), 0u);
  EXPECT_EQ(events(reply.body).back(), "[DONE]");
}

TEST(ServeProtocol, Http10WholeRepliesHaveALength) {
  TinyServer server;
  Connection connection(server.port());
  connection.send("GET /health HTTP/1.0\r\n\r\n");
  const HttpReply reply = connection.read();
  EXPECT_EQ(reply.status, 200);
  EXPECT_EQ(reply.headers.count("content-length"), 1u);
  EXPECT_TRUE(connection.at_end());
}

TEST(ServeProtocol, HeadHasTheHeadersOfGetAndNoBody) {
  TinyServer server;
  Connection connection(server.port());
  connection.send(http_text("GET", "/v1/models"));
  const HttpReply get = connection.read();
  connection.send(http_text("HEAD", "/v1/models") + http_text("GET", "/health"));
  const HttpReply head = connection.read(true);
  EXPECT_EQ(head.status, 200);
  EXPECT_EQ(head.headers.at("content-length"), get.headers.at("content-length"));
  EXPECT_EQ(connection.read().body, R"({"status":"ok"})");  // nothing lies between
  connection.send(http_text("HEAD", "/nothing"));
  EXPECT_EQ(connection.read(true).status, 404);
  connection.send("NOT HTTP\r\n\r\n");
  EXPECT_THAT(connection.read().body, HasSubstr("error"));  // an error after HEAD has a body again
}

TEST(ServeProtocol, ExpectContinueIsAnswered) {
  TinyServer server;
  Connection connection(server.port());
  const std::string text = http_text("POST", "/v1/completions", completion(false).dump(), {{"Expect", "100-continue"}});
  const auto body = text.find("\r\n\r\n") + 4;
  connection.send(text.substr(0, body));
  EXPECT_EQ(connection.read().status, 100);
  connection.send(text.substr(body));
  EXPECT_EQ(connection.read().status, 200);
  connection.send(text);  // a client that does not wait: a 100 may come, the answer must
  HttpReply reply = connection.read();
  if (reply.status == 100) reply = connection.read();
  EXPECT_EQ(reply.status, 200);
}

TEST(ServeProtocol, ExpectContinueOfTooMuchIsRefusedBeforeTheBody) {
  TinyServer server;
  Connection connection(server.port());
  connection.send(
      "POST /v1/completions HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 99999999\r\n\r\n");
  EXPECT_EQ(connection.read().status, 413);
}

TEST(ServeProtocol, ChunkedBodies) {
  TinyServer server;
  Connection connection(server.port());
  connection.send("POST /v1/completions HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
  for (const char c : completion(false).dump()) connection.send(std::string("1\r\n") + c + "\r\n");
  connection.send("0\r\n\r\n");
  EXPECT_EQ(connection.read().status, 200);
}

TEST(ServeProtocol, CompressedBodiesAreRefusedByName) {
  TinyServer server;
  const auto encoded = [&](const char* encoding) {
    return request(server.port(), "POST", "/v1/completions", completion(false).dump(),
                   {{"Content-Encoding", encoding}});
  };
  const HttpReply reply = encoded("gzip");
  EXPECT_EQ(reply.status, 415);
  EXPECT_EQ(reply.headers.at("accept-encoding"), "identity");
  EXPECT_THAT(reply.json()["error"]["message"].get<std::string>(), HasSubstr("Content-Encoding: gzip"));
  EXPECT_EQ(encoded("identity").status, 200);
}

TEST(ServeProtocol, AHugeBodyIsRefused) {
  TinyServer server;
  const std::string body(std::size_t{20} << 20, ' ');
  {
    Connection connection(server.port());
    connection.send(http_text("POST", "/v1/completions", body));
    const HttpReply reply = connection.read();
    EXPECT_EQ(reply.status, 413);
    EXPECT_THAT(reply.json()["error"]["message"].get<std::string>(), HasSubstr("16777216"));
    EXPECT_TRUE(connection.at_end());
  }
  {
    Connection connection(server.port());
    connection.send("POST /v1/completions HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1400000\r\n" + body +
                    "\r\n0\r\n\r\n");
    EXPECT_EQ(connection.read().status, 413);
  }
  EXPECT_EQ(request(server.port(), "GET", "/health").status, 200);
}

TEST(ServeProtocol, AHugeHeaderIsRefused) {
  TinyServer server;
  EXPECT_EQ(request(server.port(), "GET", "/health", "", {{"X", std::string(100000, 'x')}}).status, 431);
}

// Also where the request was not read to its end.
TEST(ServeProtocol, EveryRefusalHasTheClientsRequestId) {
  TinyServer server(false, {"--allowed-origins", "*"});
  const std::string mine = "x-request-id:  mine \r\nOrigin: https://a.example\r\n";
  for (const auto& [text, status] :
       {std::pair("POST /v1/completions HTTP/1.1\r\n" + mine + "Content-Length: 99999999\r\n\r\n", 413),
        {"GET /health HTTP/1.1\r\n" + mine + "X: " + std::string(100000, 'x') + "\r\n\r\n", 431},
        {"GET /health HTTP/9.9\r\n" + mine + "\r\n", 400},
        {"hello\r\n" + mine + "\r\n", 400},
        {"POST /v1/completions HTTP/1.1\r\n" + mine + "Content-Length: -5\r\n\r\n", 400},
        {"POST /v1/completions HTTP/1.1\r\n" + mine + "Transfer-Encoding: chunked\r\n\r\nzz\r\n", 400}}) {
    Connection connection(server.port());
    connection.send(text);
    HttpReply reply = connection.read();
    EXPECT_EQ(reply.status, status);
    EXPECT_EQ(reply.headers["x-request-id"], "mine") << text.substr(0, 100);
    EXPECT_EQ(reply.headers["access-control-allow-origin"], "https://a.example") << text.substr(0, 100);
  }
  Connection connection(server.port());
  connection.send("hello\r\n\r\n");
  EXPECT_THAT(connection.read().headers["x-request-id"], testing::StartsWith("req-"));
}

TEST(ServeProtocol, TargetsMayBeInAbsoluteForm) {
  TinyServer server;
  for (const auto& [target, status] : {std::pair("http://localhost/health", 200),
                                       {"HTTP://localhost:8000/v1/models?limit=1", 200},
                                       {"https://localhost/health?a=b/c", 200},
                                       {"http://localhost", 404},
                                       {"http://localhost?/health", 404}}) {
    EXPECT_EQ(request(server.port(), "GET", target).status, status) << target;
  }
}

TEST(ServeProtocol, NotHttpIsRefused) {
  TinyServer server;
  for (const char* text : {"hello\r\n\r\n", "GET /health\r\n\r\n", "GET /health HTTP/9.9\r\n\r\n",
                           "POST /v1/completions HTTP/1.1\r\nContent-Length: -5\r\n\r\n",
                           "POST /v1/completions HTTP/1.1\r\nContent-Length: 99999999999999999999999\r\n\r\n",
                           "POST /v1/completions HTTP/1.1\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n",
                           "POST /v1/completions HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
                           "\x16\x03\x01\x02 a TLS greeting\r\n\r\n"}) {
    Connection connection(server.port());
    connection.send(text);
    EXPECT_EQ(connection.read().status, 400) << text;
  }
  EXPECT_EQ(request(server.port(), "GET", "/health").status, 200);
}

TEST(ServeProtocol, HalfARequestAndSilenceHarmNobody) {
  TinyServer server;
  std::vector<std::unique_ptr<Connection>> half;
  for (int i = 0; i < 50; ++i) {
    half.push_back(std::make_unique<Connection>(server.port()));
    half.back()->send("POST /v1/completions HTTP/1.1\r\nContent-Length: 50\r\n\r\n{");
  }
  EXPECT_EQ(post(server.port(), "/v1/completions", completion(false)).status, 200);
  half.clear();
  EXPECT_EQ(post(server.port(), "/v1/completions", completion(false)).status, 200);
}

// The limit of open files: this process has it while it lives.
class FileLimit {
 public:
  explicit FileLimit(rlim_t files) {
    ::getrlimit(RLIMIT_NOFILE, &before_);
    const rlimit now{std::min(files, before_.rlim_max), before_.rlim_max};
    ::setrlimit(RLIMIT_NOFILE, &now);
  }
  ~FileLimit() { ::setrlimit(RLIMIT_NOFILE, &before_); }
  rlim_t most() const { return before_.rlim_max; }

 private:
  rlimit before_{};
};

std::vector<std::unique_ptr<Connection>> idle_connections(const TinyServer& server, int count) {
  std::vector<std::unique_ptr<Connection>> all;
  for (int i = 0; i < count; ++i) {
    all.push_back(std::make_unique<Connection>(server.port()));
    if (i % 2 == 0) all.back()->send("GET /health HT");
  }
  return all;
}

TEST(ServeProtocol, TwoThousandIdleConnectionsAreNotNoticedUnderAShellsLimitOfFiles) {
  std::unique_ptr<TinyServer> server;
  {
    const FileLimit of_a_shell(1024);
    if (of_a_shell.most() < 4200) GTEST_SKIP() << "this user may not have 4200 files open";
    server = std::make_unique<TinyServer>();
  }
  const FileLimit many(4200);
  const auto idle = idle_connections(*server, 2000);
  EXPECT_EQ(post(server->port(), "/v1/completions", completion(false)).status, 200);
  idle[1998]->send("TP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_EQ(idle[1998]->read().status, 200) << "it has waited, and was not closed";
}

TEST(ServeProtocol, WhereNoMoreFilesMayBeOpenTheLongestIdleConnectionGoes) {
  TinyServer server;
  ASSERT_EQ(post(server.port(), "/v1/completions", completion(false)).status, 200);
  const rlimit few{100, 100};
  ASSERT_EQ(::prlimit(server.process().id(), RLIMIT_NOFILE, &few, nullptr), 0);
  const auto idle = idle_connections(server, 200);
  EXPECT_EQ(post(server.port(), "/v1/completions", completion(false)).status, 200);
  EXPECT_TRUE(idle.front()->at_end());
  idle.back()->send("GET /health HTTP/1.1\r\nHost: x\r\n\r\n");
  EXPECT_EQ(idle.back()->read().status, 200);
}

TEST(ServeProtocol, ReadersThatDoNotReadDelayNobody) {
  TinyServer server;
  std::vector<std::unique_ptr<Connection>> silent;
  Json body = completion(true);
  body["max_tokens"] = 500;
  for (int i = 0; i < 8; ++i) {
    silent.push_back(std::make_unique<Connection>(server.port()));
    silent.back()->send(http_text("POST", "/v1/completions", body.dump()));
  }
  EXPECT_EQ(post(server.port(), "/v1/completions", completion(true)).status, 200);
}

}  // namespace
}  // namespace tenon::e2e
