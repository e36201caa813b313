// What the tests of this folder have in common: what a family is called in their names, and its tiny configs.
#pragma once

#include <algorithm>
#include <filesystem>
#include <ostream>
#include <string>
#include <string_view>
#include <vector>

#include "model/registry.h"

namespace tenon::model {

inline void PrintTo(const RegistryEntry& entry, std::ostream* out) { *out << entry.family; }

}  // namespace tenon::model

namespace tenon::verify {

// tiny/config.json in the family's folder, and those of its goldens.
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
