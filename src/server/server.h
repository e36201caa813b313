// The HTTP server: one I/O thread, any number of connections.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "base/result.h"
#include "server/api.h"

namespace tenon::server {

struct ServerOptions {
  std::string host = "127.0.0.1";
  std::uint16_t port = 8000;  ///< 0: any free one; port() tells which
  std::size_t max_body_bytes = std::size_t{16} << 20;
  int idle_seconds = 75;                ///< a connection that sends nothing is closed
  std::optional<int> shutdown_seconds;  ///< how long running replies may take to finish after SIGTERM; none: no limit
};

/// "127.0.0.1:8000"; an IPv6 address stands in brackets, as in a URL.
std::string host_and_port(const std::string& host, std::uint16_t port);

class Server {
 public:
  /// Binds, so that "port in use" is known before a model is loaded; the error names the address.
  static Result<std::unique_ptr<Server>> create(ServerOptions options);
  virtual ~Server() = default;
  virtual std::uint16_t port() const = 0;
  /// Listens, calls `ready`, and serves until stop(), or, if `signals`, SIGINT or SIGTERM: running replies finish, a
  /// second signal ends at once.
  virtual Status run(Served served, ApiOptions api, bool signals, const std::function<void()>& ready) = 0;
  /// From any thread.
  virtual void stop() = 0;
};

}  // namespace tenon::server
