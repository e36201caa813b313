// From a folder of sources to a shared library in the cache.
#pragma once

#include <filesystem>
#include <string>

#include "base/result.h"
#include "model/plugin/sdk_location.h"

namespace tenon::model {

/// $XDG_CACHE_HOME/tenon/plugins, or ~/.cache/tenon/plugins; made if need be, for this user alone.
Result<std::filesystem::path> plugin_cache();

/// Forgets what was not used for a month, be it what a killed compiler left. Only where there is a compiler: without
/// one nothing could be made again. Locks stay: they are empty, and others may hold them. Another process may do the
/// same: errors do not matter.
void prune_cache(const std::filesystem::path& cache);

/// Moves a finished file of the cache to its name, whole: it is on the disk before it has that name.
Status publish(const std::filesystem::path& temporary, const std::filesystem::path& path);

/// Copies a finished library into the cache as STEM and the hash of its contents, .so, unless it is there: → that.
Result<std::string> keep_library(const std::filesystem::path& cache, const std::filesystem::path& library,
                                 const std::string& stem);

/// A library in the cache under the name of what it is made of; being used, it is kept: see prune_cache().
bool find_library(const std::filesystem::path& library);

/// While it lives, no other process builds `folder`.
class BuildLock {
 public:
  static Result<BuildLock> take(const std::filesystem::path& cache, const std::filesystem::path& folder);
  BuildLock(BuildLock&& other) noexcept : fd_(other.fd_) { other.fd_ = -1; }
  BuildLock& operator=(BuildLock&&) = delete;
  ~BuildLock();

 private:
  explicit BuildLock(int fd) : fd_(fd) {}
  int fd_;
};

/// Compiles the .cpp files of a folder (but for *_test.cpp) by $CXX, each by itself and at the same time, and links
/// them. Objects are kept by the hash of all that they are made of, so that an edit compiles one file again. → the .so.
/// Compiler errors are in the message as they are. Without a compiler: the library that was made of the same before.
Result<std::string> build_folder(const std::filesystem::path& folder, const SdkLocation& sdk);

/// Configures and builds a folder that has a CMakeLists.txt, which calls find_package(tenon) and tenon_architecture().
/// Where nothing can be built (no CMake, no compiler, a read-only cache): the library that was made of the same folder
/// before. Files outside of it, which a project may read too, are then not looked at.
Result<std::string> build_cmake_project(const std::filesystem::path& folder, const SdkLocation& sdk);

}  // namespace tenon::model
