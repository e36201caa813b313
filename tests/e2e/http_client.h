// A small blocking HTTP client over a plain socket, so that tests can also send what no library would.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"

namespace tenon::e2e {

/// Seconds that tests wait for what takes a moment; ThreadSanitizer makes it ten.
#ifdef __SANITIZE_THREAD__
inline constexpr int kPatience = 200;
#else
inline constexpr int kPatience = 20;
#endif

struct HttpReply {
  int status = 0;
  std::map<std::string, std::string> headers;  ///< names in lower case
  std::string body;                            ///< chunks joined
  bool complete = false;                       ///< false: the connection ended or kPatience passed before the end
  Json json() const { return Json::parse(body, nullptr, false); }
};

class Connection {
 public:
  explicit Connection(std::uint16_t port);
  ~Connection();
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  /// False if the other side closed.
  bool send(std::string_view data);
  void finish_sending();
  HttpReply read(bool head = false);
  /// Reads until `text` has been received (it stays in the buffer for read()).
  bool wait_for(std::string_view text);
  /// The server closed the connection and nothing is unread.
  bool at_end();
  void close();

 private:
  bool fill();
  bool fill_to(std::size_t bytes);
  std::string line();

  int socket_ = -1;
  std::string buffer_;
};

using Headers = std::vector<std::pair<std::string, std::string>>;

std::string http_text(const std::string& method, const std::string& path, const std::string& body = {},
                      const Headers& headers = {});
/// One request on a connection of its own.
HttpReply request(std::uint16_t port, const std::string& method, const std::string& path, const std::string& body = {},
                  const Headers& headers = {});
HttpReply post(std::uint16_t port, const std::string& path, const Json& body);

/// The data of each event of a stream.
std::vector<std::string> events(const std::string& body);

}  // namespace tenon::e2e
