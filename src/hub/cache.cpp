#include "hub/cache.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <iterator>

#include "base/file.h"
#include "base/log.h"
#include "hub/names.h"

namespace tenon::hub {
namespace {

namespace fs = std::filesystem;

// "models--org--name"
std::string folder_of(const std::string& repo) {
  std::string name = "models--" + repo;
  if (const auto slash = name.find('/'); slash != name.npos) name.replace(slash, 1, "--");
  return name;
}

std::string temporary_name(const std::string& path) {
  static std::atomic<unsigned> counter{0};
  return path + ".tmp." + std::to_string(::getpid()) + "." + std::to_string(counter++);
}

Status create_directories(const std::string& path) {
  std::error_code error;
  fs::create_directories(path, error);
  if (error) return std::unexpected(write_error(path, "create the directory", error.value()));
  return {};
}

std::vector<std::string> files_below(const std::string& directory) {
  std::vector<std::string> files;
  std::error_code error;
  for (fs::recursive_directory_iterator at(directory, error), end; !error && at != end; at.increment(error)) {
    std::error_code ignored;
    if (fs::is_regular_file(at->path(), ignored)) files.push_back(at->path().lexically_relative(directory).string());
  }
  std::sort(files.begin(), files.end());
  return files;
}

// What a snapshot needs to be loaded and served; of its shards, those that its index names.
Result<std::vector<std::string>> needed_of_checkpoint(const std::string& directory) {
  std::vector<std::string> needed = {"config.json", "tokenizer.json"};
  if (const auto modules = read_file(directory + "/" + kModules, kMaxModules)) {
    for (const ModuleConfig& config : configs_of_modules(*modules)) {
      if (config.needed) needed.push_back(config.file);
    }
  }
  std::error_code ignored;
  const std::string index = directory + "/" + kIndex;
  if (fs::exists(directory + "/" + kSingle, ignored) || !fs::exists(index, ignored)) {
    needed.emplace_back(kSingle);
    return needed;
  }
  TENON_ASSIGN(const std::string text, read_file(index, kMaxIndex));
  TENON_ASSIGN(const auto shards, shards_of_index(text, index));
  needed.insert(needed.end(), shards.begin(), shards.end());
  return needed;
}

}  // namespace

std::string format_bytes(std::int64_t bytes) {
  const char* units[] = {"B", "kB", "MB", "GB", "TB", "PB"};
  double value = static_cast<double>(bytes);
  int unit = 0;
  while (value >= 999.5 && unit < 5) value /= 1000, ++unit;
  char text[32];
  std::snprintf(text, sizeof text, unit == 0 || value >= 99.95 ? "%.0f %s" : "%.1f %s", value, units[unit]);
  return text;
}

Error write_error(const std::string& path, const std::string& what, int error) {
  if (error == ENOSPC || error == EDQUOT || error == EFBIG) {
    return {ErrorCode::kResourceExhausted, path + ": cannot " + what + ": " + std::strerror(error) +
                                               "; free some space, or set HF_HOME to a directory on a larger disk"};
  }
  const bool denied = error == EACCES || error == EPERM || error == EROFS;
  return {denied ? ErrorCode::kPermissionDenied : ErrorCode::kInternal,
          path + ": cannot " + what + ": " + std::strerror(error) +
              (denied ? "; set HF_HOME to a directory that you can write to" : "")};
}

std::string etag_of_header(const std::string& header) {
  std::string_view tag = header;
  if (tag.starts_with("W/")) tag.remove_prefix(2);
  if (tag.size() >= 2 && tag.front() == '"' && tag.back() == '"') tag = tag.substr(1, tag.size() - 2);
  constexpr std::size_t kMaxEtag = 128;
  const bool safe = !tag.empty() && tag.size() <= kMaxEtag && tag.front() != '.' &&
                    std::all_of(tag.begin(), tag.end(), [](unsigned char c) {
                      return (std::isalnum(c) && c < 0x80) || c == '-' || c == '_' || c == '.';
                    });
  return safe ? std::string(tag) : "";
}

Result<FileLock> FileLock::take(const std::string& path, const std::string& what) {
  TENON_TRY(create_directories(fs::path(path).parent_path().string()));
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (fd < 0) return std::unexpected(write_error(path, "create the lock", errno));
  FileLock lock(fd);
  if (::flock(fd, LOCK_EX | LOCK_NB) == 0) return lock;
  if (errno == EWOULDBLOCK) {
    TENON_LOG_INFO("{} is being downloaded by someone else; waiting for it", what);
    int status = 0;
    while ((status = ::flock(fd, LOCK_EX)) != 0 && errno == EINTR) continue;
    if (status == 0) return lock;
  }
  return std::unexpected(write_error(path, "lock", errno));
}

FileLock::FileLock(FileLock&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}

FileLock::~FileLock() {
  if (fd_ >= 0) ::close(fd_);
}

RepoCache::RepoCache(std::string cache_dir, const std::string& repo)
    : cache_dir_(std::move(cache_dir)),
      root_(cache_dir_ + "/" + folder_of(repo)),
      locks_(cache_dir_ + "/.locks/" + folder_of(repo)) {}

Status RepoCache::prepare() const {
  for (const char* part : {"/refs", "/blobs", "/snapshots"}) TENON_TRY(create_directories(root_ + part));
  return create_directories(locks_);
}

bool RepoCache::has(const std::string& commit, const std::string& file) const {
  std::error_code ignored;
  return fs::is_regular_file(snapshot_dir(commit) + "/" + file, ignored);
}

Status RepoCache::link(const std::string& commit, const std::string& file, const std::string& etag) const {
  const std::string path = snapshot_dir(commit) + "/" + file;
  TENON_TRY(create_directories(fs::path(path).parent_path().string()));
  // snapshots/<commit>/<file> is two directories below the root, and one more for each slash in the name.
  std::string target = "../../";
  for (const char c : file) target += c == '/' ? "../" : "";
  target += "blobs/" + etag;
  // A new link renamed over the old one: others see the one or the other.
  const std::string temporary = temporary_name(path);
  if (::symlink(target.c_str(), temporary.c_str()) != 0) {
    return std::unexpected(write_error(path, "create the link", errno));
  }
  if (::rename(temporary.c_str(), path.c_str()) != 0) {
    const int error = errno;
    ::unlink(temporary.c_str());
    return std::unexpected(write_error(path, "create the link", error));
  }
  return {};
}

Status RepoCache::write_ref(const std::string& revision, const std::string& commit) const {
  if (revision == commit || read_ref(revision) == commit) return {};
  const std::string path = root_ + "/refs/" + revision;
  TENON_TRY(create_directories(fs::path(path).parent_path().string()));
  const std::string temporary = temporary_name(path);
  const int fd = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  if (fd < 0) return std::unexpected(write_error(path, "write", errno));
  const bool written = ::write(fd, commit.data(), commit.size()) == static_cast<ssize_t>(commit.size());
  int error = written ? 0 : errno;
  ::close(fd);
  if (written && ::rename(temporary.c_str(), path.c_str()) == 0) return {};
  if (written) error = errno;
  ::unlink(temporary.c_str());
  return std::unexpected(write_error(path, "write", error));
}

std::string RepoCache::read_ref(const std::string& revision) const {
  constexpr std::size_t kMaxRef = 256;
  const auto text = read_file(root_ + "/refs/" + revision, kMaxRef);
  if (!text) return "";
  const std::string commit = text->substr(0, text->find_last_not_of(" \r\n") + 1);
  return is_commit(commit) ? commit : "";
}

Result<Snapshot> RepoCache::find(const std::string& repo, const std::string& revision,
                                 const std::string& gguf_file) const {
  std::string commit = read_ref(revision);
  if (commit.empty() && is_commit(revision)) commit = revision;
  const std::string what = repo + " (" + revision + ")";
  std::error_code ignored;
  if (commit.empty() || !fs::is_directory(snapshot_dir(commit), ignored)) {
    return fail(ErrorCode::kNotFound, what + " is not in the cache " + cache_dir_);
  }
  Snapshot out{.directory = snapshot_dir(commit), .commit = commit, .from_cache = true};
  out.files = files_below(out.directory);
  std::vector<std::string> ggufs;
  std::ranges::copy_if(out.files, std::back_inserter(ggufs), [](const auto& file) { return file.ends_with(".gguf"); });

  std::vector<std::string> needed;
  if (!gguf_file.empty()) {
    needed = gguf_parts(gguf_file);
    out.gguf_path = out.directory + "/" + needed.front();
  } else {
    TENON_ASSIGN(needed, needed_of_checkpoint(out.directory));
  }
  std::vector<std::string> missing;
  std::ranges::copy_if(needed, std::back_inserter(missing), [&](const auto& file) { return !has(commit, file); });
  if (missing.empty()) return out;
  if (gguf_file.empty() && !ggufs.empty() && std::ranges::find(missing, kSingle) != missing.end()) {
    return fail(ErrorCode::kNotFound, what + " has no SafeTensors in the cache " + cache_dir_ + ", but GGUF files: " +
                                          list(ggufs) + "; name one of them, as in " + repo + "/" + ggufs.front());
  }
  std::string message = what + " is only in part in the cache " + cache_dir_ + ": " + list(missing) +
                        (missing.size() == 1 ? " is missing" : " are missing");
  if (!gguf_file.empty() && !ggufs.empty()) message += "; its GGUF files there are " + list(ggufs);
  return fail(ErrorCode::kNotFound, message);
}

}  // namespace tenon::hub
