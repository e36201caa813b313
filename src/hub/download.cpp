#include "hub/download.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <thread>

#include "base/log.h"
#include "hub/digest.h"
#include "hub/names.h"

namespace tenon::hub {
namespace {

/// blobs/<etag>.incomplete and the checksum of what it holds.
class PartialBlob {
 public:
  PartialBlob(std::string path, const RemoteFile& file)
      : path_(std::move(path)), file_(file), digest_(file.etag, file.size) {}
  ~PartialBlob() {
    if (fd_ >= 0) ::close(fd_);
  }
  PartialBlob(const PartialBlob&) = delete;
  PartialBlob& operator=(const PartialBlob&) = delete;

  /// Takes up what an earlier run left.
  Status open() {
    fd_ = ::open(path_.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (fd_ < 0) return std::unexpected(write_error(path_, "create", errno));
    struct stat info{};
    if (::fstat(fd_, &info) != 0) return std::unexpected(write_error(path_, "stat", errno));
    if (info.st_size > file_.size) return restart();
    size_ = info.st_size;
    return digest_.update_from_file(fd_, size_, path_);
  }
  Status restart() {
    if (::ftruncate(fd_, 0) != 0) return std::unexpected(write_error(path_, "truncate", errno));
    size_ = 0;
    digest_.restart();
    return {};
  }
  Status append(std::span<const char> data) {
    if (static_cast<std::int64_t>(data.size()) > file_.size - size_) {
      return fail(ErrorCode::kDataLoss, file_.name + ": the hub sent more than the " + std::to_string(file_.size) +
                                            " bytes that it announced; try again later");
    }
    for (std::size_t at = 0; at < data.size();) {
      const ssize_t n = ::pwrite(fd_, data.data() + at, data.size() - at, size_);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return std::unexpected(write_error(path_, "write", errno));
      digest_.update(data.data() + at, static_cast<std::size_t>(n));
      at += static_cast<std::size_t>(n);
      size_ += n;
    }
    return {};
  }
  /// On the disk and checked; under the blob's name afterwards.
  Status finish(const std::string& blob) {
    if (::fsync(fd_) != 0) return std::unexpected(write_error(path_, "write", errno));
    if (::rename(path_.c_str(), blob.c_str()) != 0) return std::unexpected(write_error(blob, "create", errno));
    return {};
  }
  bool matches() { return digest_.matches(); }
  const char* checksum_kind() const { return digest_.kind(); }
  std::int64_t size() const { return size_; }
  bool complete() const { return size_ == file_.size; }

 private:
  std::string path_;
  const RemoteFile& file_;
  Digest digest_;
  std::int64_t size_ = 0;
  int fd_ = -1;
};

// "bytes 100-199/200": 100; -1 if it is not of that form.
std::int64_t range_begin(const std::string& header) {
  if (!header.starts_with("bytes ")) return -1;
  char* end = nullptr;
  const long long begin = std::strtoll(header.c_str() + 6, &end, 10);
  return end != header.c_str() + 6 && *end == '-' ? begin : -1;
}

/// One request for what is missing.
Result<HttpResponse> transfer(HttpClient& http, const RemoteFile& file, PartialBlob& blob, const BytesDone& done) {
  HttpSink sink;
  sink.begin = [&](const HttpResponse& response) -> Status {
    if (response.status == 206 && range_begin(response.header("content-range")) != blob.size()) {
      TENON_TRY(blob.restart());
      return fail(ErrorCode::kUnavailable, file.name + ": the server sent another range than the one asked for");
    }
    if (response.status == 200 && blob.size() > 0) TENON_TRY(blob.restart());  // the server ignored the Range
    const std::string length = response.header("content-length");
    if (length.empty() || std::atoll(length.c_str()) == file.size - blob.size()) return {};
    return fail(ErrorCode::kDataLoss, file.name + ": the hub announced " + std::to_string(file.size) + " bytes, but " +
                                          std::to_string(blob.size() + std::atoll(length.c_str())) +
                                          " would come; try again later");
  };
  sink.data = [&](std::span<const char> data) -> Status {
    TENON_TRY(blob.append(data));
    done(blob.size());
    return {};
  };
  return http.download(file.url, blob.size(), sink);
}

/// Requests until all bytes are here.
Status fill(HttpClient& http, const HubConfig& config, const RemoteFile& file, PartialBlob& blob,
            const std::atomic<bool>& stop, const BytesDone& done) {
  int failures = 0;  // in a row, without a byte more than ever before: a restart alone is no progress
  std::int64_t highest = blob.size();
  while (!blob.complete()) {
    const auto response = transfer(http, file, blob, done);
    if (blob.complete()) break;
    const bool progress = blob.size() > highest;
    highest = std::max(highest, blob.size());
    std::string why;
    if (!response) {
      if (response.error().code != ErrorCode::kUnavailable) return std::unexpected(response.error());
      why = response.error().message;
    } else if (response->status == 416) {
      TENON_TRY(blob.restart());
      why = "the server refuses to resume";
    } else if (response->ok()) {
      why = "the connection ended after " + std::to_string(blob.size()) + " of " + std::to_string(file.size) + " bytes";
    } else if (worth_a_retry(*response)) {
      why = "HTTP status " + std::to_string(response->status);
    } else if (!same_origin(response->url, config.endpoint)) {
      // The hub's CDN: no token went there, and what comes after the '?' is a secret of its own.
      return fail(ErrorCode::kUnavailable, file.name + ": " + shown(response->url.substr(0, response->url.find('?'))) +
                                               ", where the hub keeps it, answered with HTTP status " +
                                               std::to_string(response->status) + "; try again later");
    } else {
      return std::unexpected(error_of_response(*response, config, file.name, file.name));
    }
    failures = progress ? 1 : failures + 1;
    if (failures > config.retries) {
      return fail(ErrorCode::kUnavailable, file.name + ": the download broke off: " + why +
                                               "; try again to continue from " + format_bytes(blob.size()));
    }
    TENON_LOG_WARN("{}: {}; continuing from {}", file.name, why, format_bytes(blob.size()));
    if (!wait_to_retry(config, failures - 1, response ? &*response : nullptr, stop)) {
      return fail(ErrorCode::kCancelled, "the download was stopped");
    }
  }
  return {};
}

bool blob_is_here(const std::string& path, std::int64_t size) {
  struct stat info{};
  return ::stat(path.c_str(), &info) == 0 && S_ISREG(info.st_mode) && info.st_size == size;
}

}  // namespace

bool worth_a_retry(const HttpResponse& response) {
  return response.status == 408 || response.status == 429 || response.status >= 500;
}

bool wait_to_retry(const HubConfig& config, int attempt, const HttpResponse* response, const std::atomic<bool>& stop) {
  using std::chrono::milliseconds;
  constexpr milliseconds kLongest{60'000};
  milliseconds delay = std::min(config.retry_delay * (1 << std::min(attempt, 10)), kLongest);
  if (response) {
    const long asked = std::atol(response->header("retry-after").c_str());
    if (asked > 0) delay = std::min(milliseconds(std::min(asked, 60L) * 1000), kLongest);
  }
  constexpr milliseconds kSlice{50};
  for (milliseconds waited{0}; waited < delay && !stop; waited += kSlice) {
    std::this_thread::sleep_for(std::min(kSlice, delay - waited));
  }
  return !stop;
}

Status download_blob(HttpClient& http, const HubConfig& config, const RepoCache& cache, const RemoteFile& file,
                     const std::atomic<bool>& stop, const BytesDone& done) {
  TENON_ASSIGN(const FileLock lock, FileLock::take(cache.lock_path(file.etag), file.name));
  const std::string path = cache.blob_path(file.etag);
  if (blob_is_here(path, file.size)) {  // another process, or another revision, had it
    done(file.size);
    return {};
  }
  PartialBlob blob(cache.incomplete_path(file.etag), file);
  TENON_TRY(blob.open());
  const bool resumed = blob.size() > 0;
  done(blob.size());
  for (int attempt = 0;; ++attempt) {
    TENON_TRY(fill(http, config, file, blob, stop, done));
    if (blob.matches()) return blob.finish(path);
    TENON_TRY(blob.restart());
    // What an earlier run left may be bad; what came in one piece from the hub gets no second chance.
    if (!resumed || attempt > 0) {
      ::unlink(cache.incomplete_path(file.etag).c_str());
      return fail(ErrorCode::kDataLoss, file.name + ": what the hub sent does not match its " + blob.checksum_kind() +
                                            " and was discarded; try again later");
    }
    TENON_LOG_WARN("{}: the resumed download does not match its checksum; downloading it again", file.name);
  }
}

Error error_of_response(const HttpResponse& response, const HubConfig& config, const std::string& repo,
                        const std::string& what) {
  const std::string code = response.header("x-error-code");
  const bool denied = response.status == 401 || response.status == 403;
  if (code == "GatedRepo") {
    return {ErrorCode::kPermissionDenied,
            what + " is gated: accept its terms at " + config.endpoint + "/" + repo +
                (config.token.empty() ? ", and set HF_TOKEN to a token of that account"
                                      : "; the account of your HF_TOKEN has no access yet")};
  }
  if (code == "RevisionNotFound") return {ErrorCode::kNotFound, what + " does not exist on " + config.endpoint};
  if (code == "EntryNotFound") return {ErrorCode::kNotFound, what + " does not exist on " + config.endpoint};
  if (code == "DisabledRepo") return {ErrorCode::kPermissionDenied, what + " was disabled on " + config.endpoint};
  if (code == "RepoNotFound" || response.status == 404 || (response.status == 401 && code.empty())) {
    return {ErrorCode::kNotFound, what + " does not exist on " + config.endpoint + ", or is private: check its name" +
                                      (config.token.empty() ? ", or set HF_TOKEN to a token that may read it"
                                                            : " and whether your HF_TOKEN may read it")};
  }
  std::string message = what + ": " + config.endpoint + " answered with HTTP status " + std::to_string(response.status);
  if (const std::string detail = response.header("x-error-message"); !detail.empty()) message += ": " + shown(detail);
  if (denied) return {ErrorCode::kPermissionDenied, message + "; check HF_TOKEN"};
  return {ErrorCode::kUnavailable, message + "; try again later"};
}

}  // namespace tenon::hub
