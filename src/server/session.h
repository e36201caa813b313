// One connection: reads requests, hands each to the API, writes its answer. All on the I/O thread.
#pragma once

#include <utility>  // Asio 1.74 uses std::exchange without it

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <functional>
#include <list>
#include <map>
#include <memory>
#include <mutex>

#include "server/server.h"

namespace tenon::server {

/// Where other threads leave work for the I/O thread. They may outlive it: what comes after close() is dropped.
class Mailbox {
 public:
  explicit Mailbox(boost::asio::io_context& io) : io_(&io) {}
  void post(std::function<void()> f);
  /// Before the io_context ends, on its thread.
  void close();

 private:
  std::mutex mutex_;
  boost::asio::io_context* io_;
};

/// What sessions share with their server.
struct SessionContext {
  Api* api;
  const ServerOptions* options;
  std::shared_ptr<Mailbox> mailbox;
  bool draining = false;                              ///< answers say "Connection: close"
  std::map<const void*, std::shared_ptr<void>> busy;  ///< sessions whose request is not yet answered whole
  std::function<void()> became_idle;                  ///< after the last of them, while draining
  /// Closes a connection that waits for a request or for the rest of its header; who waits longest is first.
  std::list<std::function<void()>> waiting;
};

void start_session(boost::asio::ip::tcp::socket socket, std::shared_ptr<SessionContext> context);

}  // namespace tenon::server
