// Real tokenizers with golden ids, for the tests of this folder: some beside the tests, more where TENON_SHARED_DIR has
// them (or the directory "shared" beside the source tree).
#pragma once

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "base/json.h"

namespace tenon::tokenizer::test {

inline std::filesystem::path source_dir() {
  const char* dir = std::getenv("TENON_SOURCE_DIR");
  return dir ? dir : TENON_SOURCE_DIR;
}

inline std::filesystem::path shared_dir() {
  const char* dir = std::getenv("TENON_SHARED_DIR");
  return (dir ? std::filesystem::path(dir) : source_dir() / "../shared") / "tokenizers";
}

/// Folders with a golden.json; those of the source tree first, none twice.
inline std::vector<std::filesystem::path> golden_folders() {
  std::vector<std::filesystem::path> found;
  for (const auto& root : {source_dir() / "src/tokenizer/testdata", shared_dir()}) {
    if (!std::filesystem::is_directory(root)) continue;
    std::vector<std::filesystem::path> here;
    for (const auto& entry : std::filesystem::directory_iterator(root)) {
      const bool known = std::any_of(found.begin(), found.end(),
                                     [&](const auto& folder) { return folder.filename() == entry.path().filename(); });
      if (!known && std::filesystem::exists(entry.path() / "golden.json")) here.push_back(entry.path());
    }
    std::sort(here.begin(), here.end());
    found.insert(found.end(), here.begin(), here.end());
  }
  return found;
}

/// What `xz -dc` prints; an exception where it fails.
inline std::string decompress(const std::filesystem::path& path) {
  const std::unique_ptr<FILE, int (*)(FILE*)> pipe(popen(("xz -dc '" + path.string() + "'").c_str(), "r"), pclose);
  if (!pipe) throw std::runtime_error("cannot run xz");
  std::string text;
  std::array<char, 65536> buffer = {};
  while (const std::size_t count = fread(buffer.data(), 1, buffer.size(), pipe.get()))
    text.append(buffer.data(), count);
  if (text.empty()) throw std::runtime_error("xz cannot decompress " + path.string());
  return text;
}

inline Json load(const std::filesystem::path& path) { return Json::parse(std::ifstream(path)); }

/// As a name of a GoogleTest parameter.
inline std::string test_name(std::string name) {
  std::replace_if(name.begin(), name.end(), [](unsigned char c) { return !std::isalnum(c); }, '_');
  return name;
}

}  // namespace tenon::tokenizer::test
