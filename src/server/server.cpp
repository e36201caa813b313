#include "server/session.h"

#include <sys/resource.h>

#include <boost/asio/ip/address.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>
#include <optional>

#include "base/clock.h"
#include "base/log.h"

namespace tenon::server {
namespace {

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;

class HttpServer final : public Server {
 public:
  explicit HttpServer(ServerOptions options)
      : options_(std::move(options)), context_(std::make_shared<SessionContext>()) {
    context_->options = &options_;
    context_->mailbox = std::make_shared<Mailbox>(io_);
  }

  ~HttpServer() override {
    // The sessions end with io_, on this thread: one that posts must not find itself their last owner.
    context_->mailbox->close();
    context_->became_idle = nullptr;
    const auto busy = std::exchange(context_->busy, {});
  }

  Status bind() {
    error_code ec;
    const std::string where = host_and_port(options_.host, options_.port);
    const auto found = tcp::resolver(io_).resolve(options_.host, std::to_string(options_.port), ec);
    if (ec || found.empty()) return invalid("cannot resolve the host '" + options_.host + "': " + ec.message());
    const tcp::endpoint endpoint = found.begin()->endpoint();
    acceptor_.open(endpoint.protocol(), ec);
    if (!ec) acceptor_.set_option(tcp::acceptor::reuse_address(true), ec);
    if (!ec) acceptor_.bind(endpoint, ec);
    return listening(ec, where);
  }

  std::uint16_t port() const override { return acceptor_.local_endpoint().port(); }

  Status run(Served served, ApiOptions api, bool signals, const std::function<void()>& ready) override {
    api_.emplace(std::move(served), std::move(api));
    context_->api = &*api_;
    raise_file_limit();
    error_code ec;
    acceptor_.listen(asio::socket_base::max_listen_connections, ec);
    TENON_TRY(listening(ec, host_and_port(options_.host, port())));
    accept();
    if (signals) {
      signals_.emplace(io_, SIGINT, SIGTERM);
      wait_for_signal();
    }
    ready();
    while (!run_events()) {
    }
    return {};
  }

  void stop() override {
    asio::post(io_, [this] { io_.stop(); });
  }

 private:
  // False: an event of some connection threw, which it has ended; the others go on.
  bool run_events() {
    try {
      io_.run();
      return true;
    } catch (const std::exception& exception) {
      TENON_LOG_ERROR("a connection failed: {}", exception.what());
      return false;
    }
  }

  // A shell's limit of 1024 open files is for programs that use select(); a server has a connection a file.
  static void raise_file_limit() {
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= limit.rlim_max) return;
    limit.rlim_cur = limit.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &limit);  // where it cannot be raised, fewer connections are open at once
  }

  static Status listening(error_code ec, const std::string& where) {
    if (ec == asio::error::address_in_use) {
      return fail(ErrorCode::kUnavailable, where + " is in use by another program; choose another port with --port");
    }
    if (ec == asio::error::access_denied) {
      return fail(ErrorCode::kPermissionDenied, "not allowed to listen on " + where +
                                                    ": low ports are the administrator's; choose another with --port");
    }
    if (ec == boost::system::errc::address_not_available) {
      return fail(ErrorCode::kUnavailable,
                  where + " is no address of this machine; choose one with --host (0.0.0.0: all)");
    }
    if (ec) return fail(ErrorCode::kUnavailable, "cannot listen on " + where + ": " + ec.message());
    return {};
  }

  void accept() {
    acceptor_.async_accept([this](error_code ec, tcp::socket socket) {
      if (ec == asio::error::operation_aborted) return;
      if (!ec) {
        error_code ignored;
        socket.set_option(tcp::no_delay(true), ignored);
        start_session(std::move(socket), context_);
        return accept();
      }
      // Out of file descriptors: the connection goes that has been idle longest, or this one waits until some close.
      if (const TimePoint time = TimePoint::clock::now(); !warned_ || time - *warned_ > std::chrono::seconds(10)) {
        TENON_LOG_WARN("cannot accept a connection: {}", ec.message());
        warned_ = time;
      }
      if (!context_->waiting.empty()) {
        context_->waiting.front()();
        return accept();
      }
      retry_.expires_after(std::chrono::milliseconds(100));
      retry_.async_wait([this](error_code) { accept(); });
    });
  }

  void wait_for_signal() {
    signals_->async_wait([this](error_code ec, int) {
      if (ec) return;
      if (context_->draining) return io_.stop();
      drain();
      wait_for_signal();
    });
  }

  void drain() {
    TENON_LOG_INFO("shutting down: {} running requests may finish; press Ctrl-C again to end at once",
                   context_->busy.size());
    api_->drain();
    context_->draining = true;
    context_->became_idle = [this] {
      // A little later, so that the last answer is written. What is refused meanwhile must not put it off.
      context_->became_idle = nullptr;
      deadline_.expires_after(std::chrono::milliseconds(200));
      deadline_.async_wait([this](error_code timer_ec) {
        if (!timer_ec) io_.stop();
      });
    };
    if (context_->busy.empty()) return io_.stop();
    if (!options_.shutdown_seconds) return;
    deadline_.expires_after(std::chrono::seconds(*options_.shutdown_seconds));
    deadline_.async_wait([this](error_code timer_ec) {
      if (timer_ec) return;
      TENON_LOG_WARN("{} requests were not answered within {} s and are cut off (--shutdown-timeout)",
                     context_->busy.size(), *options_.shutdown_seconds);
      io_.stop();
    });
  }

  const ServerOptions options_;
  std::optional<Api> api_;
  std::shared_ptr<SessionContext> context_;
  asio::io_context io_{1};  // ends before what its sessions call
  tcp::acceptor acceptor_{io_};
  asio::steady_timer retry_{io_}, deadline_{io_};
  std::optional<asio::signal_set> signals_;
  std::optional<TimePoint> warned_;
};

}  // namespace

std::string host_and_port(const std::string& host, std::uint16_t port) {
  const bool bare = host.find(':') != std::string::npos && !host.starts_with('[');
  return (bare ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

Result<std::unique_ptr<Server>> Server::create(ServerOptions options) {
  auto server = std::make_unique<HttpServer>(std::move(options));
  TENON_TRY(server->bind());
  return server;
}

}  // namespace tenon::server
