// One HTTP request and its answer, as the API sees them. The API knows no sockets; the session knows no OpenAI.
#pragma once

#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace tenon::server {

struct HttpRequest {
  std::string method;
  std::string path;  ///< without the query
  std::string body;
  std::string authorization;
  std::string origin;                 ///< of a browser; empty: none
  bool same_origin = false;           ///< the browser's page is from this server
  std::string wanted_headers = {};    ///< that a browser asks leave for, before a request; empty: none
  std::string request_id;             ///< the client's x-request-id; empty: none
  std::string content_encoding = {};  ///< of the body; empty: none
};

/// All members are called on the I/O thread, post() on any. After the client hung up every call is harmless.
class Exchange {
 public:
  virtual ~Exchange() = default;
  using Headers = std::vector<std::pair<std::string, std::string>>;

  /// A whole answer.
  virtual void respond(int status, std::string body, std::string content_type = "application/json",
                       Headers headers = {}) = 0;
  /// Server-sent events: begin, any number of events, end.
  virtual void begin_events() = 0;
  virtual void send_event(const std::string& data, const std::string& name = {}) = 0;
  virtual void end_events() = 0;
  /// `f` runs once if the client goes away before the answer is whole.
  virtual void on_hang_up(std::function<void()> f) = 0;
  /// Runs `f` on the I/O thread.
  virtual void post(std::function<void()> f) = 0;
};

}  // namespace tenon::server
