#include "hub/hub.h"

#include <sys/stat.h>
#include <sys/statvfs.h>

#include <algorithm>
#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>

#include "base/file.h"
#include "base/json.h"
#include "base/log.h"
#include "hub/cache.h"
#include "hub/download.h"
#include "hub/http.h"
#include "hub/names.h"

namespace tenon::hub {
namespace {

/// One fetch() from begin to end.
class Fetch {
 public:
  Fetch(const HubRequest& request, RepoName name)
      : request_(request),
        config_(request.config),
        repo_(std::move(name.repo)),
        gguf_file_(name.gguf_file.empty() ? request.gguf_file : name.gguf_file),
        cache_(config_.cache_dir, repo_) {}

  Result<Snapshot> run();

 private:
  struct Info {
    std::string commit;
    std::vector<std::string> files;
  };
  Result<Info> repo_info(int retries);
  /// The snapshot of the commit, with what is missing downloaded.
  Result<Snapshot> bring(const Info& info);
  Result<HttpResponse> metadata(HttpClient& http, bool head, const std::string& url, int retries);
  Result<RemoteFile> look_up(HttpClient& http, const std::string& commit, const std::string& file);
  /// Makes files of a commit be in its snapshot.
  Status get(const std::string& commit, const std::vector<std::string>& files);
  /// What the lists among the chosen files name: shards of weights, configs of modules.
  Result<std::vector<std::string>> listed_files(const Info& info, const FileChoice& choice) const;
  Status check_space(const std::vector<RemoteFile>& files) const;
  /// f(client, i) for each i < n on several threads; the first error ends all.
  template <class F>
  Status parallel(std::size_t n, const F& f);
  void report(std::size_t file, const std::vector<RemoteFile>& files, std::int64_t done);

  const HubRequest& request_;
  const HubConfig& config_;
  const std::string repo_, gguf_file_;
  const RepoCache cache_;
  bool unwritable_ = false;  ///< something was missing, and the cache could not take it
  std::atomic<bool> stop_{false};
  std::mutex progress_mutex_;
  std::vector<std::int64_t> done_;  ///< of each file of this get()
};

template <class F>
Status Fetch::parallel(std::size_t n, const F& f) {
  std::atomic<std::size_t> next{0};
  std::mutex mutex;
  Status status{};
  const auto work = [&] {
    HttpClient http(config_, &stop_);
    for (std::size_t i; !stop_ && (i = next++) < n;) {
      Status result = f(http, i);
      if (result) continue;
      const std::lock_guard lock(mutex);
      if (status) status = std::move(result);
      stop_ = true;
    }
  };
  {
    std::vector<std::jthread> threads;
    const auto count = std::min(n, static_cast<std::size_t>(std::clamp(config_.parallel, 1, 64)));
    for (std::size_t t = 1; t < count; ++t) threads.emplace_back(work);
    work();
  }
  return status;
}

Result<HttpResponse> Fetch::metadata(HttpClient& http, bool head, const std::string& url, int retries) {
  for (int attempt = 0;; ++attempt) {
    auto response = head ? http.head(url) : http.get(url);
    const bool again = response ? worth_a_retry(*response) : response.error().code == ErrorCode::kUnavailable;
    const int allowed = http.unreachable() ? std::min(retries, config_.connect_retries) : retries;
    if (!again || attempt >= allowed) return response;
    TENON_LOG_WARN("{}; trying again ({} of {})",
                   response ? config_.endpoint + " answers with HTTP status " + std::to_string(response->status)
                            : response.error().message,
                   attempt + 1, allowed);
    if (!wait_to_retry(config_, attempt, response ? &*response : nullptr, stop_)) return response;
  }
}

Result<Fetch::Info> Fetch::repo_info(int retries) {
  HttpClient http(config_, &stop_);
  const std::string url =
      config_.endpoint + "/api/models/" + url_path(repo_) + "/revision/" + url_part(request_.revision);
  TENON_ASSIGN(const HttpResponse response, metadata(http, false, url, retries));
  if (!response.ok()) {
    const bool revision = response.header("x-error-code") == "RevisionNotFound";
    return std::unexpected(error_of_response(response, config_, repo_,
                                             revision ? "revision " + request_.revision + " of " + repo_ : repo_));
  }
  const std::string where = "the hub's answer about " + repo_;
  const auto answer = parse_json(response.body, where);
  if (!answer) {
    return fail(ErrorCode::kUnavailable, where + " is no JSON; check HF_ENDPOINT (" + config_.endpoint +
                                             "), and whether this network wants a login first");
  }
  const Json& json = *answer;
  Info info;
  if (!json.is_object() || !json.contains("sha") || !json["sha"].is_string() || !json.contains("siblings") ||
      !json["siblings"].is_array()) {
    return invalid(where + " lacks \"sha\" or \"siblings\"; check HF_ENDPOINT (" + config_.endpoint + ")");
  }
  info.commit = json["sha"].get<std::string>();
  if (!is_commit(info.commit))
    return invalid(where + " names the commit " + in_quotes(info.commit) + ", which is none");
  for (const Json& sibling : json["siblings"]) {
    if (!sibling.is_object() || !sibling.contains("rfilename") || !sibling["rfilename"].is_string()) {
      return invalid(where + " has a file without \"rfilename\"");
    }
    info.files.push_back(sibling["rfilename"].get<std::string>());
  }
  return info;
}

Result<RemoteFile> Fetch::look_up(HttpClient& http, const std::string& commit, const std::string& file) {
  const std::string what = repo_ + "/" + file;
  RemoteFile remote{.name = file};
  remote.url = config_.endpoint + "/" + url_path(repo_) + "/resolve/" + commit + "/" + url_path(file);
  TENON_ASSIGN(const HttpResponse response, metadata(http, true, remote.url, config_.retries));
  if (response.status >= 400) return std::unexpected(error_of_response(response, config_, repo_, what));
  if (const std::string at = response.header("x-repo-commit"); !at.empty() && at != commit) {
    return fail(ErrorCode::kUnavailable,
                what + ": the hub answered for the commit " + shown(at) + " instead of " + commit + "; try again");
  }
  const std::string linked = response.header("x-linked-etag");
  remote.etag = etag_of_header(linked.empty() ? response.header("etag") : linked);
  const std::string linked_size = response.header("x-linked-size");
  const std::string size = linked_size.empty() ? response.header("content-length") : linked_size;
  char* end = nullptr;
  remote.size = std::strtoll(size.c_str(), &end, 10);
  if (remote.etag.empty() || size.empty() || *end != '\0' || remote.size < 0) {
    return fail(ErrorCode::kUnavailable,
                what + ": the hub's answer lacks a usable ETag or size; check HF_ENDPOINT (" + config_.endpoint + ")");
  }
  return remote;
}

Status Fetch::check_space(const std::vector<RemoteFile>& files) const {
  std::int64_t needed = 0;
  for (const RemoteFile& file : files) {
    struct stat info{};
    if (::stat(cache_.blob_path(file.etag).c_str(), &info) == 0) continue;
    std::int64_t bytes = file.size;
    if (::stat(cache_.incomplete_path(file.etag).c_str(), &info) == 0) bytes -= std::min(bytes, info.st_size);
    needed = bytes > INT64_MAX - needed ? INT64_MAX : needed + bytes;
  }
  struct statvfs disk{};
  if (::statvfs(cache_.root().c_str(), &disk) != 0) return {};  // then the writes will tell
  const auto available = static_cast<std::int64_t>(
      std::min<std::uint64_t>(static_cast<std::uint64_t>(disk.f_bavail) * disk.f_frsize, INT64_MAX));
  if (needed <= available) return {};
  return fail(ErrorCode::kResourceExhausted,
              repo_ + " needs " + format_bytes(needed) + " more in " + config_.cache_dir + ", where only " +
                  format_bytes(available) +
                  " are free; free some space, or set HF_HOME to a directory on a larger disk");
}

void Fetch::report(std::size_t file, const std::vector<RemoteFile>& files, std::int64_t done) {
  const std::lock_guard lock(progress_mutex_);
  done_[file] = done;
  if (!request_.progress) return;
  Progress p{.file = files[file].name, .done = done, .total = files[file].size};
  for (std::size_t i = 0; i < files.size(); ++i) p.all_done += done_[i], p.all_total += files[i].size;
  request_.progress(p);
}

Status Fetch::get(const std::string& commit, const std::vector<std::string>& files) {
  std::vector<std::string> missing;
  for (const std::string& file : files) {
    if (!cache_.has(commit, file)) missing.push_back(file);
  }
  if (missing.empty()) return {};  // also of a cache that cannot be written to
  if (const Status prepared = cache_.prepare(); !prepared) {
    unwritable_ = true;
    return wrap(prepared.error(), repo_ + " lacks " + list(missing) + " in the cache");
  }
  std::vector<RemoteFile> remote(missing.size());
  TENON_TRY(parallel(missing.size(), [&](HttpClient& http, std::size_t i) -> Status {
    TENON_ASSIGN(remote[i], look_up(http, commit, missing[i]));
    return {};
  }));
  TENON_TRY(check_space(remote));
  done_.assign(remote.size(), 0);
  return parallel(remote.size(), [&](HttpClient& http, std::size_t i) -> Status {
    if (auto status =
            download_blob(http, config_, cache_, remote[i], stop_, [&](std::int64_t done) { report(i, remote, done); });
        !status) {
      return wrap(status.error(), repo_);
    }
    return cache_.link(commit, remote[i].name, remote[i].etag);
  });
}

Result<std::vector<std::string>> Fetch::listed_files(const Info& info, const FileChoice& choice) const {
  const std::string directory = cache_.snapshot_dir(info.commit) + "/";
  std::vector<std::string> files;
  if (!choice.index.empty()) {
    TENON_ASSIGN(const std::string text, read_file(directory + choice.index, kMaxIndex));
    TENON_ASSIGN(files, shards_of_index(text, repo_ + "/" + choice.index));
  }
  if (!choice.modules.empty()) {
    TENON_ASSIGN(const std::string text, read_file(directory + choice.modules, kMaxModules));
    for (const ModuleConfig& config : configs_of_modules(text)) {
      if (std::ranges::find(info.files, config.file) != info.files.end()) files.push_back(config.file);
    }
  }
  return files;
}

Result<Snapshot> Fetch::run() {
  auto cached = cache_.find(repo_, request_.revision, gguf_file_);
  if (config_.offline) {
    if (cached) return cached;
    return fail(ErrorCode::kUnavailable,
                cached.error().message + "; HF_HUB_OFFLINE forbids a download: unset it, or fetch the model first");
  }
  // With a copy at hand there is no point in waiting long for a hub that does not answer.
  const auto info = repo_info(cached ? 0 : config_.retries);
  if (!info && cached) {
    // Whatever the hub says: an expired token, or a portal in its place, makes the copy no worse.
    TENON_LOG_WARN("{}; using the copy in the cache, {}", info.error().message, cached->directory);
    return cached;
  }
  if (!info) {
    if (info.error().code != ErrorCode::kUnavailable) return std::unexpected(info.error());
    return fail(info.error().code, info.error().message + "; and " + cached.error().message);
  }
  Result<Snapshot> snapshot = bring(*info);
  // An older commit that is whole; of the same commit, what is missing is known to be needed.
  if (!snapshot && unwritable_ && cached && cached->commit != info->commit) {
    TENON_LOG_WARN("{}; using the older copy in the cache, {}", snapshot.error().message, cached->directory);
    return cached;
  }
  return snapshot;
}

Result<Snapshot> Fetch::bring(const Info& info) {
  TENON_ASSIGN(FileChoice choice, choose_files(repo_, info.files, gguf_file_));
  TENON_TRY(get(info.commit, choice.files));
  TENON_ASSIGN(const std::vector<std::string> listed, listed_files(info, choice));
  TENON_TRY(get(info.commit, listed));
  choice.files.insert(choice.files.end(), listed.begin(), listed.end());
  // Last, so that a revision never leads to half a snapshot. Only a later run without the hub needs it.
  if (const Status written = cache_.write_ref(request_.revision, info.commit); !written) {
    TENON_LOG_WARN("{}; without the hub, {} ({}) will be what it was in the cache before", written.error().message,
                   repo_, request_.revision);
  }
  Snapshot out{.directory = cache_.snapshot_dir(info.commit), .commit = info.commit, .files = choice.files};
  if (!choice.gguf.empty()) out.gguf_path = out.directory + "/" + choice.gguf;
  return out;
}

}  // namespace

Result<Snapshot> fetch(const HubRequest& request) {
  TENON_ASSIGN(RepoName name, parse_repo(request.repo));
  TENON_TRY(check_revision(request.revision));
  if (!request.gguf_file.empty() && !is_safe_file_name(request.gguf_file)) {
    return invalid(in_quotes(request.gguf_file) + " is not the name of a file in " + name.repo);
  }
  return Fetch(request, std::move(name)).run();
}

}  // namespace tenon::hub
