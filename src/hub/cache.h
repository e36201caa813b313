// One repo's part of the cache, in huggingface_hub's layout:
//   <cache>/models--org--name/refs/<revision>                     the commit, as text
//                             blobs/<etag>                        contents
//                             snapshots/<commit>/<file>           relative symlinks into blobs/
//   <cache>/.locks/models--org--name/<etag>.lock                  held while a blob is written
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "hub/hub.h"

namespace tenon::hub {

// Longer lists than these are no lists.
constexpr std::size_t kMaxIndex = std::size_t{256} << 20;
constexpr std::size_t kMaxModules = std::size_t{1} << 20;

/// An exclusive lock between processes and threads, by flock() like huggingface_hub's; released with the object.
class FileLock {
 public:
  /// Waits for it, saying so. `what` is the file that it guards.
  static Result<FileLock> take(const std::string& path, const std::string& what);
  FileLock(FileLock&& other) noexcept;
  FileLock& operator=(FileLock&&) = delete;
  ~FileLock();

 private:
  explicit FileLock(int fd) : fd_(fd) {}
  int fd_;
};

class RepoCache {
 public:
  RepoCache(std::string cache_dir, const std::string& repo);

  std::string snapshot_dir(const std::string& commit) const { return root_ + "/snapshots/" + commit; }
  std::string blob_path(const std::string& etag) const { return root_ + "/blobs/" + etag; }
  std::string incomplete_path(const std::string& etag) const { return blob_path(etag) + ".incomplete"; }
  std::string lock_path(const std::string& etag) const { return locks_ + "/" + etag + ".lock"; }
  const std::string& root() const { return root_; }

  /// Creates the directories; an error says why it cannot.
  Status prepare() const;
  bool has(const std::string& commit, const std::string& file) const;
  /// Points snapshots/<commit>/<file> at a blob.
  Status link(const std::string& commit, const std::string& file, const std::string& etag) const;
  /// Records which commit a revision is.
  Status write_ref(const std::string& revision, const std::string& commit) const;
  /// The commit that a revision was when it was last fetched; "" if it never was.
  std::string read_ref(const std::string& revision) const;

  /// The snapshot in the cache, if it is complete: kNotFound otherwise, with what is missing.
  Result<Snapshot> find(const std::string& repo, const std::string& revision, const std::string& gguf_file) const;

 private:
  std::string cache_dir_, root_, locks_;
};

/// An ETag header as a file name: without W/ and quotes; "" if it is none or unsafe as a name.
std::string etag_of_header(const std::string& header);

/// "2.5 GB"
std::string format_bytes(std::int64_t bytes);

/// An error of writing in the cache: a full disk is kResourceExhausted.
Error write_error(const std::string& path, const std::string& what, int error);

}  // namespace tenon::hub
