#include "server/session.h"

#include <boost/asio/post.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>
#include <ctime>
#include <deque>
#include <optional>
#include <sstream>

#include "base/clock.h"
#include "base/log.h"
#include "server/openai.h"

namespace tenon::server {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using boost::system::error_code;

// A reader that lets this much pile up has stopped reading.
constexpr std::size_t kMaxUnsent = std::size_t{4} << 20;

// Of now, as every answer of a server with a clock has it (RFC 9110, 6.6.1).
std::string date() {
  const std::time_t now = std::time(nullptr);
  std::tm utc{};
  ::gmtime_r(&now, &utc);
  char text[32];
  return {text, std::strftime(text, sizeof text, "%a, %d %b %Y %H:%M:%S GMT", &utc)};
}

// A body of fewer bytes is sent together with its headers.
constexpr std::size_t kOnePiece = std::size_t{16} << 10;

class Session;

bool same_letters(std::string_view a, std::string_view b) {
  return beast::iequals({a.data(), a.size()}, {b.data(), b.size()});
}

// Of a request's target, without the query; of the absolute form (http://host/path, RFC 9112, 3.2.2) without the host.
std::string path_of(std::string_view target) {
  for (const std::string_view scheme : {"http://", "https://"}) {
    if (!same_letters(target.substr(0, scheme.size()), scheme)) continue;
    const auto path = target.find_first_of("/?", scheme.size());
    target = path == std::string_view::npos || target[path] == '?' ? "/" : target.substr(path);
    break;
  }
  return std::string(target.substr(0, target.find('?')));
}

// The answer to one request; the session it belongs to may be gone.
class SessionExchange final : public Exchange, public std::enable_shared_from_this<SessionExchange> {
 public:
  SessionExchange(std::weak_ptr<Session> session, std::shared_ptr<Mailbox> mailbox)
      : session_(std::move(session)), mailbox_(std::move(mailbox)) {}
  void respond(int status, std::string body, std::string content_type, Headers headers) override;
  void begin_events() override;
  void send_event(const std::string& data, const std::string& name) override;
  void end_events() override;
  void on_hang_up(std::function<void()> f) override { hang_up_ = std::move(f); }
  void post(std::function<void()> f) override {
    mailbox_->post([self = shared_from_this(), f = std::move(f)] { self->run(f); });
  }
  /// What throws there ends this request, and nothing else.
  void run(const std::function<void()>& f);
  void hang_up() {
    session_.reset();
    give_up();
  }
  /// What still runs for the request is wanted no more.
  void give_up() {
    if (auto f = std::exchange(hang_up_, nullptr)) f();
  }
  void answered() { hang_up_ = nullptr, session_.reset(); }

 private:
  std::weak_ptr<Session> session_;
  std::shared_ptr<Mailbox> mailbox_;
  std::function<void()> hang_up_;
};

class Session : public std::enable_shared_from_this<Session> {
 public:
  Session(asio::ip::tcp::socket socket, std::shared_ptr<SessionContext> context)
      : stream_(std::move(socket)), context_(std::move(context)) {}

  ~Session() {
    wait_no_more();
    lose();
  }

  void read_request() {
    wait_no_more();
    place_ = context_->waiting.insert(context_->waiting.end(), [this] { close(); });
    parser_.emplace();
    parser_->body_limit(context_->options->max_body_bytes);
    expire_when_idle();
    http::async_read_header(stream_, buffer_, *parser_,
                            [self = shared_from_this()](error_code ec, std::size_t) { self->on_header(ec); });
  }

  void respond(int status, std::string body, const std::string& content_type, const Exchange::Headers& headers) {
    http::response<http::empty_body> response{static_cast<http::status>(status), version_};
    response.set(http::field::date, date());
    response.set(http::field::content_type, content_type);
    for (const auto& [name, value] : common_) response.set(name, value);
    for (const auto& [name, value] : headers) response.set(name, value);
    response.keep_alive(keep_alive());
    status_ = status;
    if (status == 204) {  // has neither (RFC 9110, 8.6)
      response.erase(http::field::content_type);
    } else {
      response.content_length(body.size());
    }
    std::ostringstream text;
    text << response.base();
    if (body.size() < kOnePiece) {
      send(text.str() + (head_ ? "" : body));
    } else {  // no copy of it
      send(text.str());
      if (!head_) send(std::move(body));
    }
    finish();
  }

  void begin_events() {
    http::response<http::empty_body> response{http::status::ok, version_};
    response.set(http::field::date, date());
    response.set(http::field::content_type, "text/event-stream; charset=utf-8");
    response.set(http::field::cache_control, "no-cache");
    for (const auto& [name, value] : common_) response.set(name, value);
    status_ = 200;
    chunked_ = version_ >= 11;
    if (!chunked_) keep_alive_ = false;  // HTTP/1.0: the end of the connection is the end of the events
    response.keep_alive(keep_alive());
    if (chunked_) response.chunked(true);
    std::ostringstream text;
    text << response.base();
    send(text.str());
  }

  void send_event(const std::string& data, const std::string& name) {
    send_chunk((name.empty() ? "" : "event: " + name + "\n") + "data: " + data + "\n\n");
    if (unsent_ > kMaxUnsent) hung_up();
  }

  void end_events() {
    if (chunked_) send("0\r\n\r\n");
    finish();
  }

  // A bug threw while the request was read or answered.
  void failed(const std::string& why) {
    TENON_LOG_ERROR("{}: {}", common_.empty() ? "-" : common_.front().second, why);
    if (status_ != 0) return hung_up();  // the answer has begun, and cannot become another
    exchange_->give_up();
    respond(500, dump(error_object(500, {ErrorCode::kInternal, "the request failed: " + why})), "application/json", {});
  }

 private:
  bool keep_alive() const { return keep_alive_ && !context_->draining; }

  void expire_when_idle() { stream_.expires_after(std::chrono::seconds(context_->options->idle_seconds)); }

  void wait_no_more() {
    if (place_) context_->waiting.erase(*place_);
    place_.reset();
  }

  void on_header(error_code ec) {
    wait_no_more();
    if (ec) return on_request(ec);
    const bool waits = parser_->get().version() >= 11 && buffer_.size() == 0 &&
                       beast::iequals(parser_->get()[http::field::expect], "100-continue");
    if (!waits) return read_body();
    static constexpr std::string_view kContinue = "HTTP/1.1 100 Continue\r\n\r\n";
    asio::async_write(stream_, asio::buffer(kContinue.data(), kContinue.size()),
                      [self = shared_from_this()](error_code write_ec, std::size_t) {
                        if (write_ec) return self->close();
                        self->read_body();
                      });
  }

  void read_body() {
    http::async_read(stream_, buffer_, *parser_,
                     [self = shared_from_this()](error_code ec, std::size_t) { self->on_request(ec); });
  }

  void on_request(error_code ec) {
    if (ec == http::error::header_limit) return refuse(431, "the request's header is larger than 8192 bytes");
    if (ec == http::error::body_limit || ec == http::error::buffer_overflow) {
      return refuse(413, "the request is larger than the limit of " +
                             std::to_string(context_->options->max_body_bytes) + " bytes");
    }
    if (ec.category() == http::make_error_code(http::error::bad_method).category() &&
        ec != http::error::end_of_stream && ec != http::error::partial_message) {
      return refuse(400, "not a valid HTTP request: " + ec.message());
    }
    if (ec) return close();
    auto request = parser_->release();
    version_ = request.version();
    keep_alive_ = request.keep_alive();
    head_ = request.method() == http::verb::head;
    HttpRequest out;
    out.method = head_ ? "GET" : std::string(request.method_string());
    out.path = path_of({request.target().data(), request.target().size()});
    out.authorization = std::string(request[http::field::authorization]);
    out.origin = std::string(request[http::field::origin]);
    // What a browser says of the page, which no page can set (behind a proxy the Host may be another), or seen here.
    out.same_origin =
        request["Sec-Fetch-Site"] == "same-origin" || out.origin == "http://" + std::string(request[http::field::host]);
    out.wanted_headers = std::string(request[http::field::access_control_request_headers]);
    out.request_id = std::string(request["X-Request-Id"]);
    out.content_encoding = std::string(request[http::field::content_encoding]);
    out.body = std::move(request.body());
    begin();
    common_ = context_->api->common_headers(out);
    what_ = out.method + " " + printable(out.path);
    logged_ = out.path != "/health" && out.path != "/metrics";  // asked for every few seconds
    exchange_->run([this, &out, exchange = exchange_] { context_->api->handle(std::move(out), exchange); });
    watch();  // while the reply runs, a read tells that the client went away
  }

  // A request that could not be read: answered once, then the connection is closed.
  void refuse(int status, const std::string& message) {
    keep_alive_ = head_ = false;
    HttpRequest seen;
    seen.origin = header_of_unread("Origin");
    seen.request_id = header_of_unread("X-Request-Id");
    begin();
    common_ = context_->api->common_headers(seen);
    respond(status, dump(error_object(status, {ErrorCode::kInvalidArgument, message})), "application/json", {});
  }

  // A header of a request that could not be read: the parser has it, or gave up before and left it in the buffer.
  std::string header_of_unread(const char* name) const {
    if (const auto& fields = parser_->get(); fields.count(name) > 0) return std::string(fields[name]);
    if (parser_->is_header_done()) return {};
    std::string_view rest(static_cast<const char*>(buffer_.data().data()), buffer_.data().size());
    for (std::size_t end; (end = rest.find("\r\n")) != std::string_view::npos && end > 0; rest.remove_prefix(end + 2)) {
      const std::string_view line = rest.substr(0, end);
      const auto colon = line.find(':');
      if (colon == std::string_view::npos || !same_letters(line.substr(0, colon), name)) continue;
      const std::string_view value = line.substr(colon + 1);
      const auto first = value.find_first_not_of(" \t"), last = value.find_last_not_of(" \t");
      return first == std::string_view::npos ? std::string() : std::string(value.substr(first, last + 1 - first));
    }
    return {};
  }

  // The path as a log may show it.
  static std::string printable(std::string_view path) {
    std::string out(path.substr(0, 200));
    for (char& c : out) {
      if (c <= ' ' || c > '~') c = '?';
    }
    return out;
  }

  // What came of a request: never what it or its answer said.
  void log(const char* end) const {
    if (!logged_) return;
    TENON_LOG_INFO("{} {} {}{} in {:.3f} s", common_.empty() ? "-" : common_.front().second, what_, status_, end,
                   seconds_between(begun_, std::chrono::steady_clock::now()));
  }

  void begin() {
    begun_ = std::chrono::steady_clock::now();
    common_.clear();
    status_ = 0;
    what_ = "unreadable request";
    logged_ = true;
    context_->busy.emplace(this, shared_from_this());
    exchange_ = std::make_shared<SessionExchange>(weak_from_this(), context_->mailbox);
  }

  void watch() {
    if (watching_ || !exchange_) return;
    watching_ = true;
    stream_.expires_never();  // of reads: a write that runs keeps its time limit
    // Bytes of a pipelined next request may arrive too: they stay in the buffer.
    stream_.async_read_some(buffer_.prepare(4096), [self = shared_from_this()](error_code ec, std::size_t n) {
      self->watching_ = false;
      self->buffer_.commit(n);
      if (self->closed_) return;
      // Once the answer is complete, the end of the requests is no hang-up: it is met again by the next read.
      const bool ended = ec == asio::error::eof && !self->exchange_;
      if (ec && ec != asio::error::operation_aborted && !ended) return self->hung_up();
      if (self->exchange_ && self->buffer_.size() < 65536) return self->watch();
      if (self->read_next_ && self->queue_.empty()) self->next();
    });
  }

  void hung_up() {
    close();
    lose();
  }

  // The running request's answer is no longer wanted.
  void lose() {
    if (auto exchange = std::exchange(exchange_, nullptr)) {
      log(", the client hung up,");
      exchange->hang_up();
      done();
    }
  }

  void done() {
    const auto self = context_->busy.extract(this);  // until the end of this function
    if (context_->busy.empty() && context_->draining && context_->became_idle) context_->became_idle();
  }

  // The answer is written (to the queue): the next request may follow.
  void finish() {
    if (auto exchange = std::exchange(exchange_, nullptr)) {
      log("");
      exchange->answered();
      done();
    }
    read_next_ = true;
    if (queue_.empty()) next();  // else write() goes on
  }

  void next() {
    if (!read_next_ || closed_) return;
    if (watching_) return stream_.socket().cancel();  // comes back here from watch()
    read_next_ = false;
    if (keep_alive()) return read_request();
    error_code ignored;
    stream_.socket().shutdown(asio::ip::tcp::socket::shutdown_send, ignored);
    stream_.expires_after(std::chrono::seconds(2));
    discard();
  }

  // Closing while the client still sends would reset the connection and lose the answer.
  void discard() {
    buffer_.clear();
    stream_.async_read_some(buffer_.prepare(65536), [self = shared_from_this()](error_code ec, std::size_t n) {
      self->discarded_ += n;
      if (ec || self->discarded_ > 4 * self->context_->options->max_body_bytes) return self->close();
      self->discard();
    });
  }

  void send_chunk(const std::string& data) {
    if (!chunked_) return send(data);
    std::ostringstream size;
    size << std::hex << data.size();
    send(size.str() + "\r\n" + data + "\r\n");
  }

  void send(std::string data) {
    if (closed_) return;
    unsent_ += data.size();
    queue_.push_back(std::move(data));
    if (queue_.size() == 1) write();
  }

  void write() {
    expire_when_idle();
    asio::async_write(stream_, asio::buffer(queue_.front()), [self = shared_from_this()](error_code ec, std::size_t) {
      if (ec) return self->hung_up();
      self->unsent_ -= self->queue_.front().size();
      self->queue_.pop_front();
      if (!self->queue_.empty()) return self->write();
      if (self->read_next_) self->next();
    });
  }

  void close() {
    if (std::exchange(closed_, true)) return;
    wait_no_more();
    error_code ignored;
    stream_.socket().shutdown(asio::ip::tcp::socket::shutdown_both, ignored);
    stream_.close();
  }

  beast::tcp_stream stream_;
  std::shared_ptr<SessionContext> context_;
  beast::flat_buffer buffer_{std::size_t{1} << 20};
  std::optional<http::request_parser<http::string_body>> parser_;
  std::shared_ptr<SessionExchange> exchange_;
  std::deque<std::string> queue_;  ///< to be written; the front is being written
  std::size_t unsent_ = 0;
  unsigned version_ = 11;
  bool keep_alive_ = true, head_ = false, chunked_ = true;
  bool watching_ = false;   ///< a read is pending that only watches for a hang-up
  bool read_next_ = false;  ///< the answer is complete; read the next request once it is written
  bool closed_ = false;
  std::size_t discarded_ = 0;
  std::optional<std::list<std::function<void()>>::iterator> place_;  ///< among those that wait
  // Of the request that is being answered:
  Exchange::Headers common_;
  TimePoint begun_{};
  std::string what_;  ///< "POST /v1/completions"
  int status_ = 0;
  bool logged_ = true;
};

void SessionExchange::run(const std::function<void()>& f) {
  try {
    f();
  } catch (const std::exception& exception) {
    if (auto session = session_.lock()) session->failed(exception.what());
  }
}
void SessionExchange::respond(int status, std::string body, std::string content_type, Headers headers) {
  if (auto session = session_.lock()) session->respond(status, std::move(body), content_type, headers);
}
void SessionExchange::begin_events() {
  if (auto session = session_.lock()) session->begin_events();
}
void SessionExchange::send_event(const std::string& data, const std::string& name) {
  if (auto session = session_.lock()) session->send_event(data, name);
}
void SessionExchange::end_events() {
  if (auto session = session_.lock()) session->end_events();
}

}  // namespace

void Mailbox::post(std::function<void()> f) {
  const std::lock_guard lock(mutex_);
  if (io_) asio::post(*io_, std::move(f));
}

void Mailbox::close() {
  const std::lock_guard lock(mutex_);
  io_ = nullptr;
}

void start_session(asio::ip::tcp::socket socket, std::shared_ptr<SessionContext> context) {
  std::make_shared<Session>(std::move(socket), std::move(context))->read_request();
}

}  // namespace tenon::server
