// The configs of tiny models that a family of registry.def has: tiny/config.json in its folder, and those of its
// goldens.
#pragma once

#include <algorithm>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace tenon::verify {

inline std::vector<std::filesystem::path> tiny_configs(std::string_view family) {
  namespace fs = std::filesystem;
  const fs::path source = TENON_SOURCE_DIR;
  std::vector<fs::path> found;
  const fs::path own = source / "src" / "architectures" / family / "tiny" / "config.json";
  if (fs::exists(own)) found.push_back(own);
  const fs::path goldens = source / "tests" / "golden" / family;
  if (fs::exists(goldens)) {
    for (const auto& entry : fs::directory_iterator(goldens)) {
      if (fs::exists(entry.path() / "config.json")) found.push_back(entry.path() / "config.json");
    }
  }
  std::ranges::sort(found);
  return found;
}

}  // namespace tenon::verify
