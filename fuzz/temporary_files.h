// Files for readers that take paths.
#pragma once

#include <sys/mman.h>
#include <unistd.h>

#include <filesystem>
#include <map>
#include <string>
#include <string_view>

#include "base/check.h"

namespace tenon::fuzz {

/// A directory of this process, which goes with it. What is written lies in memory, and the directory has links there:
/// a disk would take milliseconds for each file that is written anew.
class TemporaryDirectory {
 public:
  TemporaryDirectory() : path_(std::filesystem::temp_directory_path() / ("tenon_fuzz_" + std::to_string(::getpid()))) {
    std::filesystem::create_directories(path_);
  }
  ~TemporaryDirectory() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
    for (const auto& [name, file] : files_) ::close(file);
  }
  TemporaryDirectory(const TemporaryDirectory&) = delete;
  TemporaryDirectory& operator=(const TemporaryDirectory&) = delete;

  std::string path(std::string_view name) const { return (path_ / name).string(); }

  void write(std::string_view name, std::string_view text) {
    const auto [at, is_new] = files_.try_emplace(std::string(name), -1);
    if (is_new) at->second = ::memfd_create("tenon_fuzz", MFD_CLOEXEC);
    const bool written = ::ftruncate(at->second, 0) == 0 &&
                         ::pwrite(at->second, text.data(), text.size(), 0) == static_cast<ssize_t>(text.size());
    TENON_CHECK(written, path(name));
    const std::filesystem::path link = path_ / name;
    if (std::filesystem::is_symlink(link)) return;
    std::filesystem::create_directories(link.parent_path());
    std::filesystem::create_symlink("/proc/self/fd/" + std::to_string(at->second), link);
  }
  void remove(std::string_view name) const { std::filesystem::remove(path_ / name); }

 private:
  const std::filesystem::path path_;
  std::map<std::string, int> files_;  // what was ever written, by name
};

}  // namespace tenon::fuzz
