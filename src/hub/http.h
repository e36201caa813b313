// HTTP as the hub needs it: one request at a time over libcurl, with redirects followed here, because what may be
// followed and who may see the token is the hub's protocol and not libcurl's.
#pragma once

#include <atomic>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>

#include "base/result.h"
#include "hub/hub.h"

namespace tenon::hub {

struct HttpResponse {
  long status = 0;
  std::map<std::string, std::string> headers;  ///< names in lower case
  std::string body;                            ///< what no sink took
  std::string url;                             ///< of the last hop

  /// A header's value, or "".
  std::string header(const std::string& name) const;
  bool ok() const { return status >= 200 && status < 300; }
};

/// Takes the body of a download. An error of either function ends the transfer and becomes the download's.
struct HttpSink {
  std::function<Status(const HttpResponse&)> begin;  ///< once the headers of a 200 or 206 are here
  std::function<Status(std::span<const char>)> data;
};

class HttpClient {
 public:
  /// `stop`, if given, ends a running transfer with kCancelled.
  explicit HttpClient(const HubConfig& config, const std::atomic<bool>* stop = nullptr);
  ~HttpClient();
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  /// kUnavailable where the host does not answer or the connection breaks: worth a retry.
  Result<HttpResponse> get(const std::string& url);
  /// Follows redirects on one host only; a redirect to another host is the answer. Headers of the hops before remain
  /// where a later hop does not replace them.
  Result<HttpResponse> head(const std::string& url);
  /// GET into a sink, from byte `offset` on (by Range, if it is not 0). Other answers than 200 and 206 return as they
  /// are, with the start of their body.
  Result<HttpResponse> download(const std::string& url, std::int64_t offset, const HttpSink& sink);
  /// Whether the last request failed before it could be sent: no address, no connection, no TLS.
  bool unreachable() const { return unreachable_; }

 private:
  struct Transfer;
  Result<HttpResponse> hop(const std::string& method, const std::string& url, std::int64_t offset,
                           const HttpSink* sink);
  Result<HttpResponse> follow(const std::string& method, const std::string& url, std::int64_t offset,
                              const HttpSink* sink);

  struct Curl;
  const HubConfig& config_;
  const std::atomic<bool>* stop_;
  std::unique_ptr<Curl> curl_;
  bool unreachable_ = false;
};

/// The path of a URL: each part percent-encoded, slashes kept.
std::string url_path(std::string_view path);
/// One part of a URL's path: slashes are encoded, too.
std::string url_part(std::string_view part);
/// Scheme, host and port are the same.
bool same_origin(const std::string& a, const std::string& b);

}  // namespace tenon::hub
