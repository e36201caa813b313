// The endpoints: what each method and path does. Runs on the I/O thread, but for the reading of large bodies; replies
// come from the engine thread by post().
#pragma once

#include <boost/asio/thread_pool.hpp>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "server/exchange.h"
#include "server/metrics.h"
#include "server/served.h"

namespace tenon::server {

struct ApiOptions {
  std::string model_name;                         ///< what /v1/models lists and requests must name
  int max_length = 0;                             ///< context of the model
  std::vector<std::string> api_keys = {};         ///< any of them will do; empty: none needed
  std::vector<std::string> allowed_origins = {};  ///< of browsers (CORS); "*": any; empty: none
  RequestDefaults defaults = {};
  chat::ReplyFormat format = {};         ///< how the model writes tool calls and reasoning
  Json tokenizer_info = Json::object();  ///< special tokens and chat template, for /tokenizer_info
  std::string version = {};
  std::string metrics_prefix = "tenon";  ///< of the names in /metrics
};

class Api {
 public:
  Api(Served served, ApiOptions options);
  void handle(HttpRequest request, const std::shared_ptr<Exchange>& exchange);
  /// What every answer to this request carries: x-request-id (the client's, or a new one), and CORS where allowed.
  Exchange::Headers common_headers(const HttpRequest& request);
  /// From now on /health says 503 and new work is refused.
  void drain() { draining_ = true; }

 private:
  bool authorized(const HttpRequest& request) const;
  bool may_ask(const HttpRequest& request) const;
  bool allows_origin(const std::string& origin) const;
  Status check_model(const Json& model) const;
  enum class Generates : std::uint8_t { kText, kChat, kResponse };
  void complete(HttpRequest& request, const std::shared_ptr<Exchange>& exchange, Generates what);
  void embed(HttpRequest& request, const std::shared_ptr<Exchange>& exchange);
  void tokens(HttpRequest& request, const std::shared_ptr<Exchange>& exchange, bool encode);
  template <class T>
  void read(HttpRequest& request, const std::shared_ptr<Exchange>& exchange,
            std::function<Result<T>(const std::string& body)> reader, std::function<Status(T)> then);
  Json model_object() const;

  const Served served_;
  ApiOptions options_;
  Metrics metrics_;
  std::int64_t started_;
  std::uint64_t next_id_ = 0;
  bool draining_ = false;
  /// Each reads large bodies, one after the other. Last: they end while all that they read with is there.
  boost::asio::thread_pool reader_{1}, huge_reader_{1};
};

}  // namespace tenon::server
