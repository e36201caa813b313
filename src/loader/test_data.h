// Models on disk for the tests of this folder.
#pragma once

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "loader/loader.h"

namespace tenon::loader::test {

inline std::filesystem::path source_dir() {
  const char* dir = std::getenv("TENON_SOURCE_DIR");
  return dir ? dir : TENON_SOURCE_DIR;
}

/// What is too large for the source tree, or licensed otherwise; often not there.
inline std::filesystem::path shared_dir() {
  const char* dir = std::getenv("TENON_SHARED_DIR");
  return dir ? std::filesystem::path(dir) : source_dir() / ".." / "shared";
}

/// The config of a published model, ORG--NAME, and mostly the names and shapes of its tensors. The path of one that is
/// nowhere does not exist.
inline std::filesystem::path hf_config(const std::string& name) {
  const auto here = source_dir() / "tests" / "data" / "hf_configs" / name;
  return std::filesystem::exists(here) ? here : shared_dir() / "hf_configs" / name;
}

class TempDir {
 public:
  TempDir()
      : path_(std::filesystem::temp_directory_path() /
              ("tenon_loader_" + std::to_string(::getpid()) + "_" + std::to_string(next_++))) {
    std::filesystem::create_directories(path_);
  }
  ~TempDir() { std::filesystem::remove_all(path_); }
  void write(const std::string& name, const std::string& text) const { std::ofstream(path_ / name) << text; }
  std::string path() const { return path_.string(); }

 private:
  inline static int next_ = 0;
  std::filesystem::path path_;
};

inline LoadOptions options_for(const std::filesystem::path& model) {
  LoadOptions options;
  options.model = model.string();
  return options;
}

}  // namespace tenon::loader::test
