// The folders of tests/golden by what they hold.
#pragma once

#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

namespace tenon::golden {

/// "family/case" of every folder that holds `file`, in order.
inline std::vector<std::string> cases_with(const std::string& file) {
  namespace fs = std::filesystem;
  std::vector<std::string> out;
  for (const auto& entry : fs::recursive_directory_iterator(TENON_GOLDEN_DIR)) {
    if (entry.path().filename() != file) continue;
    out.push_back(fs::relative(entry.path().parent_path(), TENON_GOLDEN_DIR).string());
  }
  std::sort(out.begin(), out.end());
  return out;
}

/// "family/case" as a part of a test's name.
inline std::string name_of(std::string case_name) {
  std::replace(case_name.begin(), case_name.end(), '/', '_');
  return case_name;
}

}  // namespace tenon::golden
