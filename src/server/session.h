// One connection: reads requests, hands each to the API, writes its answer. All on the I/O thread.
#pragma once

#include <utility>  // Asio 1.74 uses std::exchange without it

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <functional>
#include <map>
#include <memory>

#include "server/server.h"

namespace tenon::server {

/// What sessions share with their server.
struct SessionContext {
  Api* api;
  const ServerOptions* options;
  std::weak_ptr<boost::asio::io_context> io;
  bool draining = false;                              ///< answers say "Connection: close"
  std::map<const void*, std::shared_ptr<void>> busy;  ///< sessions whose request is not yet answered whole
  std::function<void()> became_idle;                  ///< after the last of them, while draining
};

void start_session(boost::asio::ip::tcp::socket socket, std::shared_ptr<SessionContext> context);

}  // namespace tenon::server
