// A hub for tests: two loopback HTTP servers (the hub and its CDN) that speak the hub's protocol, with faults to order.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/evp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cctype>
#include <cstring>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace tenon::hub {

struct FakeRequest {
  std::string method, path;
  std::map<std::string, std::string> headers;  ///< names in lower case
};

struct FakeResponse {
  int status = 200;
  std::map<std::string, std::string> headers;
  std::string body;
  std::size_t send_at_most = SIZE_MAX;  ///< of the body; then the connection breaks
  bool no_length = false;               ///< the end of the connection is the end of the body
};

/// One request a connection, one thread a connection.
class LoopbackServer {
 public:
  using Handler = std::function<FakeResponse(const FakeRequest&)>;

  explicit LoopbackServer(Handler handler) : handler_(std::move(handler)) {
    socket_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    socklen_t size = sizeof address;
    ::bind(socket_, reinterpret_cast<sockaddr*>(&address), size);
    ::listen(socket_, 64);
    ::getsockname(socket_, reinterpret_cast<sockaddr*>(&address), &size);
    port_ = ntohs(address.sin_port);
    acceptor_ = std::thread([this] { accept_all(); });
  }
  ~LoopbackServer() {
    stop_ = true;
    ::shutdown(socket_, SHUT_RDWR);
    acceptor_.join();
    ::close(socket_);
    for (auto& thread : connections_) thread.join();
  }
  std::string url() const { return "http://127.0.0.1:" + std::to_string(port_); }
  std::vector<FakeRequest> requests() {
    const std::lock_guard lock(mutex_);
    return requests_;
  }

 private:
  void accept_all() {
    while (!stop_) {
      const int fd = ::accept4(socket_, nullptr, nullptr, SOCK_CLOEXEC);
      if (fd < 0) continue;
      connections_.emplace_back([this, fd] {
        serve(fd);
        ::close(fd);
      });
    }
  }

  void serve(int fd) {
    std::string text;
    char buffer[4096];
    while (text.find("\r\n\r\n") == text.npos) {
      const ssize_t n = ::recv(fd, buffer, sizeof buffer, 0);
      if (n <= 0) return;
      text.append(buffer, static_cast<std::size_t>(n));
    }
    FakeRequest request = parse(text);
    {
      const std::lock_guard lock(mutex_);
      requests_.push_back(request);
    }
    const FakeResponse response = handler_(request);
    std::string out = "HTTP/1.1 " + std::to_string(response.status) + " X\r\nConnection: close\r\n";
    if (!response.no_length) {
      out += "Content-Length: " + std::to_string(response.body.size()) + "\r\n";
    }
    for (const auto& [name, value] : response.headers) out += name + ": " + value + "\r\n";
    out += "\r\n";
    if (request.method != "HEAD") out += response.body.substr(0, response.send_at_most);
    for (std::size_t at = 0; at < out.size();) {
      const ssize_t n = ::send(fd, out.data() + at, out.size() - at, MSG_NOSIGNAL);
      if (n <= 0) return;
      at += static_cast<std::size_t>(n);
    }
    ::shutdown(fd, SHUT_WR);
    while (::recv(fd, buffer, sizeof buffer, 0) > 0) continue;  // so that what was sent is not lost to a reset
  }

  static FakeRequest parse(const std::string& text) {
    FakeRequest request;
    const auto first = text.find(' '), second = text.find(' ', first + 1);
    request.method = text.substr(0, first);
    request.path = text.substr(first + 1, second - first - 1);
    for (std::size_t at = text.find("\r\n") + 2; at < text.size();) {
      const auto end = text.find("\r\n", at);
      const std::string line = text.substr(at, end - at);
      if (const auto colon = line.find(": "); colon != line.npos) {
        std::string name = line.substr(0, colon);
        std::transform(name.begin(), name.end(), name.begin(), [](unsigned char c) { return std::tolower(c); });
        request.headers[name] = line.substr(colon + 2);
      }
      at = end + 2;
    }
    return request;
  }

  Handler handler_;
  int socket_ = -1;
  int port_ = 0;
  std::atomic<bool> stop_{false};
  std::thread acceptor_;
  std::vector<std::thread> connections_;
  std::mutex mutex_;
  std::vector<FakeRequest> requests_;
};

inline std::string hex_digest(const EVP_MD* kind, const std::string& data) {
  unsigned char bytes[EVP_MAX_MD_SIZE];
  unsigned int size = 0;
  EVP_Digest(data.data(), data.size(), bytes, &size, kind, nullptr);
  std::string hex;
  for (unsigned int i = 0; i < size; ++i) {
    hex += "0123456789abcdef"[bytes[i] >> 4];
    hex += "0123456789abcdef"[bytes[i] & 15];
  }
  return hex;
}
inline std::string sha256(const std::string& data) { return hex_digest(EVP_sha256(), data); }
inline std::string git_sha1(const std::string& data) {
  return hex_digest(EVP_sha1(), "blob " + std::to_string(data.size()) + std::string(1, '\0') + data);
}

struct FakeFile {
  std::string contents;
  bool lfs = false;        ///< by the CDN and with a SHA-256; otherwise by the hub and with git's SHA-1
  std::string sent;        ///< what is really sent, if it differs
  std::string etag;        ///< if it is to be wrong
  std::int64_t size = -1;  ///< X-Linked-Size, if it is to be wrong
};

class FakeHub {
 public:
  explicit FakeHub(std::string commit = std::string(40, 'a')) : commit_(std::move(commit)) {}

  std::string url() const { return hub_.url(); }
  std::vector<FakeRequest> hub_requests() { return hub_.requests(); }
  std::vector<FakeRequest> cdn_requests() { return cdn_.requests(); }
  const std::string& commit() const { return commit_; }

  /// What a test did before is seen by later requests, and the other way round, also by ThreadSanitizer.
  void sync() { const std::lock_guard lock(mutex_); }

  std::map<std::string, FakeFile> files;  ///< not to be changed while requests run
  std::string repo = "org/name";
  std::string renamed_from;               ///< this name redirects to `repo`
  std::string extra_sibling;              ///< a name that is listed without more
  std::atomic<int> fail_info{0};          ///< so many requests for the repo answer with 503
  std::atomic<int> break_downloads{0};    ///< so many downloads break off in the middle
  std::atomic<bool> ignore_range{false};  ///< a 200 with everything answers a Range request
  std::atomic<bool> wrong_range{false};   ///< a 206 that begins elsewhere
  std::atomic<bool> chunked{false};       ///< downloads come without a Content-Length
  std::atomic<bool> cdn_denies{false};    ///< a 403 of the CDN, as for a signature that has expired
  std::atomic<bool> gated{false};
  std::atomic<bool> denied{false};  ///< a private or missing repo: 401

 private:
  FakeResponse on_hub(const FakeRequest& r) {
    const std::lock_guard lock(mutex_);
    if (denied) return {401, {{"X-Error-Code", "RepoNotFound"}}, "Invalid username or password.", SIZE_MAX, false};
    if (!renamed_from.empty() && r.path.find("/" + renamed_from + "/") != r.path.npos) {
      std::string path = r.path;
      path.replace(path.find(renamed_from), renamed_from.size(), repo);
      return {307, {{"Location", path}}, "", SIZE_MAX, false};
    }
    if (const std::string api = "/api/models/" + repo + "/revision/"; r.path.starts_with(api)) {
      return info(r.path.substr(api.size()));
    }
    if (const std::string prefix = "/" + repo + "/resolve/" + commit_ + "/"; r.path.starts_with(prefix)) {
      return resolve(r.path.substr(prefix.size()), r);
    }
    if (const std::string prefix = "/api/resolve-cache/"; r.path.starts_with(prefix)) {
      const auto at = files.find(r.path.substr(prefix.size()));
      return contents(at->second, r);
    }
    return {404, {{"X-Error-Code", "RepoNotFound"}}, "", SIZE_MAX, false};
  }

  FakeResponse info(const std::string& revision) {
    if (fail_info > 0) return --fail_info, FakeResponse{503, {}, "busy", SIZE_MAX, false};
    if (revision != "main" && revision != commit_ && revision != "refs%2Fpr%2F1") {
      return {404, {{"X-Error-Code", "RevisionNotFound"}}, "", SIZE_MAX, false};
    }
    std::string siblings;
    for (const auto& [name, file] : files) siblings += R"({"rfilename":")" + name + R"("},)";
    if (!extra_sibling.empty()) siblings += R"({"rfilename":")" + extra_sibling + R"("},)";
    if (!siblings.empty()) siblings.pop_back();
    return {200, {}, R"({"id":"x","sha":")" + commit_ + R"(","siblings":[)" + siblings + "]}", SIZE_MAX, false};
  }

  // Large files: a redirect to the CDN. Small files: a relative redirect.
  FakeResponse resolve(const std::string& name, const FakeRequest&) {
    const auto at = files.find(name);
    if (at == files.end()) return {404, {{"X-Error-Code", "EntryNotFound"}}, "", SIZE_MAX, false};
    if (gated)
      return {403, {{"X-Error-Code", "GatedRepo"}, {"X-Error-Message", "Access is restricted."}}, "", SIZE_MAX, false};
    const FakeFile& file = at->second;
    if (!file.lfs) {
      return {307,
              {{"Location", "/api/resolve-cache/" + name}, {"X-Repo-Commit", commit_}, {"ETag", "\"of-the-redirect\""}},
              "redirecting",
              SIZE_MAX,
              false};
    }
    const std::string etag = file.etag.empty() ? sha256(file.contents) : file.etag;
    const auto size = file.size >= 0 ? static_cast<std::size_t>(file.size) : file.contents.size();
    return {302,
            {{"Location", cdn_.url() + "/" + name + "?Signature=x%2Fy"},
             {"X-Repo-Commit", commit_},
             {"X-Linked-Etag", "\"" + etag + "\""},
             {"X-Linked-Size", std::to_string(size)},
             {"ETag", "\"of-the-pointer\""}},
            "Found. Redirecting",
            SIZE_MAX,
            false};
  }

  FakeResponse on_cdn(const FakeRequest& r) {
    const std::lock_guard lock(mutex_);
    if (cdn_denies || !r.path.ends_with("?Signature=x%2Fy")) return {403, {}, "bad signature", SIZE_MAX, false};
    const auto at = files.find(r.path.substr(1, r.path.find('?') - 1));
    return at == files.end() ? FakeResponse{404, {}, "", SIZE_MAX, false} : contents(at->second, r);
  }

  FakeResponse contents(const FakeFile& file, const FakeRequest& r) {
    const std::string& data = file.sent.empty() ? file.contents : file.sent;
    FakeResponse out;
    out.headers["ETag"] = "W/\"" + (file.etag.empty() ? git_sha1(file.contents) : file.etag) + "\"";
    out.headers["X-Repo-Commit"] = commit_;
    std::size_t begin = 0;
    if (const auto range = r.headers.find("range"); range != r.headers.end() && !ignore_range) {
      begin = std::stoul(range->second.substr(6));
      if (begin >= data.size()) return {416, {}, "", SIZE_MAX, false};
      const std::size_t said = wrong_range ? begin / 2 : begin;
      wrong_range = false;
      out.status = 206;
      out.headers["Content-Range"] =
          "bytes " + std::to_string(said) + "-" + std::to_string(data.size() - 1) + "/" + std::to_string(data.size());
    }
    out.body = data.substr(begin);
    out.no_length = chunked && r.method == "GET";
    if (r.method == "GET" && break_downloads > 0) --break_downloads, out.send_at_most = out.body.size() / 2;
    return out;
  }

  const std::string commit_;
  std::mutex mutex_;
  LoopbackServer cdn_{[this](const FakeRequest& r) { return on_cdn(r); }};
  LoopbackServer hub_{[this](const FakeRequest& r) { return on_hub(r); }};
};

}  // namespace tenon::hub
