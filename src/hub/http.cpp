#include "hub/http.h"

#include <curl/curl.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cstring>
#include <mutex>

#include "base/check.h"
#include "hub/names.h"

namespace tenon::hub {
namespace {

constexpr std::size_t kMaxBody = std::size_t{64} << 20;       // of an API answer
constexpr std::size_t kMaxErrorBody = std::size_t{16} << 10;  // of an answer that a sink does not take
constexpr int kMaxRedirects = 10;

bool is_redirect(long status) {
  return status >= 301 && status <= 308 && status != 304 && status != 305 && status != 306;
}

struct Url {
  CURLU* handle = curl_url();
  ~Url() { curl_url_cleanup(handle); }
  bool set(const std::string& url) { return curl_url_set(handle, CURLUPART_URL, url.c_str(), 0) == CURLUE_OK; }
  std::string part(CURLUPart what) const {
    char* text = nullptr;
    const unsigned int flags = what == CURLUPART_PORT ? CURLU_DEFAULT_PORT : 0;
    if (curl_url_get(handle, what, &text, flags) != CURLUE_OK) return "";
    std::string out = text;
    curl_free(text);
    return out;
  }
};

struct HeaderList {
  curl_slist* list = nullptr;
  ~HeaderList() { curl_slist_free_all(list); }
  void add(const std::string& line) { list = curl_slist_append(list, line.c_str()); }
};

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(), [](unsigned char c) { return std::tolower(c); });
  return text;
}

std::string encode(std::string_view text, bool keep_slash) {
  std::string out;
  for (const char c : text) {
    const auto u = static_cast<unsigned char>(c);
    if ((std::isalnum(u) && u < 0x80) || c == '-' || c == '_' || c == '.' || c == '~' || (c == '/' && keep_slash)) {
      out += c;
    } else {
      out += '%';
      out += "0123456789ABCDEF"[u >> 4];
      out += "0123456789ABCDEF"[u & 15];
    }
  }
  return out;
}

}  // namespace

std::string HttpResponse::header(const std::string& name) const {
  const auto at = headers.find(name);
  return at == headers.end() ? "" : at->second;
}

std::string url_path(std::string_view path) { return encode(path, true); }
std::string url_part(std::string_view part) { return encode(part, false); }

bool same_origin(const std::string& a, const std::string& b) {
  Url left, right;
  if (!left.set(a) || !right.set(b)) return false;
  return std::ranges::all_of(std::array{CURLUPART_SCHEME, CURLUPART_HOST, CURLUPART_PORT},
                             [&](CURLUPart what) { return lower(left.part(what)) == lower(right.part(what)); });
}

struct HttpClient::Curl {
  CURL* handle = nullptr;
  Curl() {
    static std::once_flag once;
    std::call_once(once, [] { TENON_CHECK(curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK); });
    handle = curl_easy_init();
    TENON_CHECK(handle != nullptr);
  }
  ~Curl() { curl_easy_cleanup(handle); }
};

/// What libcurl's callbacks see of one hop.
struct HttpClient::Transfer {
  CURL* handle;
  const HttpSink* sink;
  const std::atomic<bool>* stop;
  HttpResponse response;
  bool begun = false;  ///< the sink has seen the headers
  bool too_long = false;
  Status sink_status{};

  bool for_sink() const { return sink && (response.status == 200 || response.status == 206); }

  bool begin() {
    if (begun) return true;
    begun = true;
    sink_status = sink->begin(response);
    return sink_status.has_value();
  }

  static std::size_t on_header(char* data, std::size_t, std::size_t size, void* self) {
    auto& t = *static_cast<Transfer*>(self);
    std::string_view line(data, size);
    while (!line.empty() && (line.back() == '\r' || line.back() == '\n')) line.remove_suffix(1);
    if (line.starts_with("HTTP/")) {
      t.response.headers.clear();  // an interim answer's headers are not the answer's
      const auto space = line.find(' ');
      t.response.status = space == line.npos ? 0 : std::atol(std::string(line.substr(space + 1)).c_str());
    } else if (const auto colon = line.find(':'); colon != line.npos) {
      std::string_view value = line.substr(colon + 1);
      while (!value.empty() && (value.front() == ' ' || value.front() == '\t')) value.remove_prefix(1);
      while (!value.empty() && (value.back() == ' ' || value.back() == '\t')) value.remove_suffix(1);
      t.response.headers[lower(std::string(line.substr(0, colon)))] = value;
    }
    return size;
  }

  static std::size_t on_body(char* data, std::size_t, std::size_t size, void* self) {
    auto& t = *static_cast<Transfer*>(self);
    if (t.for_sink()) {
      if (!t.begin()) return 0;
      t.sink_status = t.sink->data({data, size});
      return t.sink_status ? size : 0;
    }
    if (is_redirect(t.response.status)) return size;
    const bool error_text = t.sink || t.response.status >= 400;
    const std::size_t room = (error_text ? kMaxErrorBody : kMaxBody) - t.response.body.size();
    t.response.body.append(data, std::min(size, room));
    t.too_long = t.too_long || (size > room && !error_text);
    return t.too_long ? 0 : size;
  }

  static int on_progress(void* self, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
    const auto& t = *static_cast<Transfer*>(self);
    return t.stop && t.stop->load() ? 1 : 0;
  }
};

HttpClient::HttpClient(const HubConfig& config, const std::atomic<bool>* stop)
    : config_(config), stop_(stop), curl_(std::make_unique<Curl>()) {}

HttpClient::~HttpClient() = default;

Result<HttpResponse> HttpClient::hop(const std::string& method, const std::string& url, std::int64_t offset,
                                     const HttpSink* sink) {
  CURL* c = curl_->handle;
  curl_easy_reset(c);  // keeps the connections
  Transfer t{.handle = c, .sink = sink, .stop = stop_, .response = {.url = url}};
  char error_text[CURL_ERROR_SIZE] = "";
  HeaderList headers;
  headers.add("User-Agent: tenon");
  headers.add("Accept-Encoding: identity");
  if (!config_.token.empty() && same_origin(url, config_.endpoint)) {
    headers.add("Authorization: Bearer " + config_.token);
  }
  const std::string range = std::to_string(offset) + "-";
  if (offset > 0) curl_easy_setopt(c, CURLOPT_RANGE, range.c_str());
  curl_easy_setopt(c, CURLOPT_URL, url.c_str());
  curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(c, CURLOPT_HTTPHEADER, headers.list);
  curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(c, CURLOPT_ERRORBUFFER, error_text);
  curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS, static_cast<long>(config_.connect_timeout.count() * 1000));
  curl_easy_setopt(c, CURLOPT_LOW_SPEED_LIMIT, 1024L);
  curl_easy_setopt(c, CURLOPT_LOW_SPEED_TIME, static_cast<long>(config_.stall_timeout.count()));
  if (!sink) curl_easy_setopt(c, CURLOPT_TIMEOUT, static_cast<long>(config_.stall_timeout.count()) * 2);
  if (method == "HEAD") curl_easy_setopt(c, CURLOPT_NOBODY, 1L);
  curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, Transfer::on_header);
  curl_easy_setopt(c, CURLOPT_HEADERDATA, &t);
  curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, Transfer::on_body);
  curl_easy_setopt(c, CURLOPT_WRITEDATA, &t);
  curl_easy_setopt(c, CURLOPT_XFERINFOFUNCTION, Transfer::on_progress);
  curl_easy_setopt(c, CURLOPT_XFERINFODATA, &t);
  curl_easy_setopt(c, CURLOPT_NOPROGRESS, 0L);

  const CURLcode code = curl_easy_perform(c);
  curl_off_t until_sent = 0;
  curl_easy_getinfo(c, CURLINFO_PRETRANSFER_TIME_T, &until_sent);
  unreachable_ = code != CURLE_OK && until_sent == 0;
  if (!t.sink_status) return std::unexpected(t.sink_status.error());
  if (code == CURLE_ABORTED_BY_CALLBACK) return fail(ErrorCode::kCancelled, "the download was stopped");
  Url parsed;
  const std::string host =
      parsed.set(url) ? parsed.part(CURLUPART_HOST) + ":" + parsed.part(CURLUPART_PORT) : shown(url);
  if (t.too_long) return fail(ErrorCode::kDataLoss, host + " sent an endless answer");
  if (code == CURLE_URL_MALFORMAT || code == CURLE_UNSUPPORTED_PROTOCOL) {
    return invalid(in_quotes(url) + " is not an http or https address; check HF_ENDPOINT");
  }
  if (code != CURLE_OK) {
    const std::string why = *error_text ? error_text : curl_easy_strerror(code);
    return fail(ErrorCode::kUnavailable, "cannot reach " + host + ": " + shown(why));
  }
  if (t.for_sink() && !t.begin()) return std::unexpected(t.sink_status.error());
  return std::move(t.response);
}

Result<HttpResponse> HttpClient::follow(const std::string& method, const std::string& url, std::int64_t offset,
                                        const HttpSink* sink) {
  std::string at = url;
  std::map<std::string, std::string> earlier;
  for (int i = 0; i <= kMaxRedirects; ++i) {
    TENON_ASSIGN(HttpResponse response, hop(method, at, offset, sink));
    if (method == "HEAD") {
      std::map<std::string, std::string> merged = response.headers;
      merged.merge(earlier);
      earlier = merged;
      // Length and ETag of a redirect's own body say nothing of the file; the hub's X-Linked-* do.
      if (is_redirect(response.status)) {
        earlier.erase("content-length");
        earlier.erase("etag");
      }
    }
    const std::string location = response.header("location");
    if (!is_redirect(response.status) || location.empty()) {
      if (method == "HEAD") response.headers = std::move(earlier);
      return response;
    }
    Url next;
    if (!next.set(at) || !next.set(location)) {
      return fail(ErrorCode::kUnavailable, "the hub redirects to " + in_quotes(location) + ", which is no address");
    }
    const std::string target = next.part(CURLUPART_URL);
    if (method == "HEAD" && !same_origin(at, target)) {
      response.headers = std::move(earlier);
      return response;
    }
    if (lower(at).starts_with("https:") && !lower(target).starts_with("https:")) {
      return fail(ErrorCode::kUnavailable,
                  "the hub redirects from https to " + in_quotes(target) + ", which is refused");
    }
    at = target;
  }
  return fail(ErrorCode::kUnavailable, shown(url) + " redirects more than " + std::to_string(kMaxRedirects) + " times");
}

Result<HttpResponse> HttpClient::get(const std::string& url) { return follow("GET", url, 0, nullptr); }
Result<HttpResponse> HttpClient::head(const std::string& url) { return follow("HEAD", url, 0, nullptr); }
Result<HttpResponse> HttpClient::download(const std::string& url, std::int64_t offset, const HttpSink& sink) {
  return follow("GET", url, offset, &sink);
}

}  // namespace tenon::hub
