#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

#include "base/file.h"
#include "base/log.h"
#include "base/sha256.h"
#include "model/plugin/build.h"
#include "model/plugin/trusted_path.h"

namespace tenon::model {
namespace {

namespace fs = std::filesystem;

constexpr auto kKept = std::chrono::hours(24 * 30);

}  // namespace

Result<fs::path> plugin_cache() {
  const char* cache_home = std::getenv("XDG_CACHE_HOME");
  const char* home = std::getenv("HOME");
  fs::path root;
  if (cache_home != nullptr && *cache_home == '/') {
    root = cache_home;
  } else if (home != nullptr && *home == '/') {
    root = fs::path(home) / ".cache";
  } else {
    return invalid("there is no place to keep compiled architectures: set HOME or XDG_CACHE_HOME");
  }
  const fs::path cache = root / "tenon" / "plugins";
  std::error_code error;
  fs::create_directories(cache, error);
  if (error) return fail(ErrorCode::kPermissionDenied, "cannot make " + cache.string() + ": " + error.message());
  // What nobody can write (a container's read-only files) needs no closing, if it is this user's or the system's.
  struct stat info{};
  const bool closed = ::chmod(cache.c_str(), 0700) == 0 || (errno == EROFS && ::stat(cache.c_str(), &info) == 0 &&
                                                            (info.st_uid == ::geteuid() || info.st_uid == 0));
  if (!closed) return fail(ErrorCode::kPermissionDenied, "the cache " + cache.string() + " belongs to another user");
  const fs::path canonical = fs::canonical(cache, error);
  if (error) return fail(ErrorCode::kPermissionDenied, "cannot use " + cache.string() + ": " + error.message());
  TENON_TRY(check_trusted(canonical));
  return canonical;
}

void prune_cache(const fs::path& cache) {
  std::error_code ignored;
  const auto oldest = fs::file_time_type::clock::now() - kKept;
  for (const fs::directory_entry& entry : fs::directory_iterator(cache, ignored)) {
    if (entry.path().extension() != ".lock" && entry.last_write_time(ignored) < oldest) {
      fs::remove_all(entry.path(), ignored);
    }
  }
}

Status publish(const fs::path& temporary, const fs::path& path) {
  const int fd = ::open(temporary.c_str(), O_RDONLY | O_CLOEXEC);
  const bool written = fd >= 0 && ::fsync(fd) == 0 && std::rename(temporary.c_str(), path.c_str()) == 0;
  const std::string reason = std::strerror(errno);
  if (fd >= 0) ::close(fd);
  if (written) return {};
  return fail(ErrorCode::kInternal, "cannot write " + path.string() + ": " + reason);
}

bool find_library(const fs::path& library) {
  std::error_code error;
  if (!fs::exists(library, error)) return false;
  fs::last_write_time(library, fs::file_time_type::clock::now(), error);
  return true;
}

Result<std::string> keep_library(const fs::path& cache, const fs::path& library, const std::string& stem) {
  TENON_ASSIGN(const std::string bytes, read_file(library.string(), 1 << 30));
  const fs::path kept = cache / (stem + sha256(bytes).substr(0, 16) + ".so");
  if (find_library(kept)) return kept.string();
  const fs::path temporary = kept.string() + "." + std::to_string(::getpid());
  std::error_code error;
  fs::copy_file(library, temporary, fs::copy_options::overwrite_existing, error);
  if (error) return fail(ErrorCode::kInternal, "cannot write " + temporary.string() + ": " + error.message());
  TENON_TRY(publish(temporary, kept));
  return kept.string();
}

Result<BuildLock> BuildLock::take(const fs::path& cache, const fs::path& folder) {
  const fs::path path = cache / (sha256(folder.string()).substr(0, 16) + ".lock");
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0 && errno == EROFS) return BuildLock(-1);  // nobody can build there
  if (fd < 0) {
    return fail(ErrorCode::kPermissionDenied, "cannot open " + path.string() + ": " + std::strerror(errno));
  }
  BuildLock lock(fd);
  if (::flock(fd, LOCK_EX | LOCK_NB) == 0) return lock;
  TENON_LOG_INFO("waiting for another process that is building {}", folder.string());
  while (::flock(fd, LOCK_EX) != 0) {
    if (errno != EINTR) {
      return fail(ErrorCode::kInternal, "cannot lock " + path.string() + ": " + std::strerror(errno));
    }
  }
  return lock;
}

BuildLock::~BuildLock() {
  if (fd_ >= 0) ::close(fd_);
}

}  // namespace tenon::model
