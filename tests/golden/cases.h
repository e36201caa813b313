// The folders of tests/golden by what they hold.
#pragma once

#include <algorithm>
#include <filesystem>
#include <string>
#include <vector>

namespace tenon::golden {

/// "family/case" of every folder that holds all of `files`, in order.
inline std::vector<std::string> cases_with(const std::vector<std::string>& files) {
  namespace fs = std::filesystem;
  std::vector<std::string> out;
  for (const auto& entry : fs::recursive_directory_iterator(TENON_GOLDEN_DIR)) {
    const auto holds = [&](const std::string& file) { return fs::exists(entry.path() / file); };
    if (std::all_of(files.begin(), files.end(), holds))
      out.push_back(entry.path().lexically_relative(TENON_GOLDEN_DIR).string());  // a folder may be a link
  }
  std::sort(out.begin(), out.end());
  return out;
}

/// Checkpoints of models that generate.
inline std::vector<std::string> generative_cases() {
  std::vector<std::string> cases = cases_with({"config.json", "model.safetensors"});
  std::erase_if(cases, [](const std::string& name) {
    return name.starts_with("bert/") || name.starts_with("mpnet/") || name.starts_with("qwen3/embed");
  });
  return cases;
}

/// A path as a part of a test's name.
inline std::string name_of(std::string path) {
  for (char& c : path) {
    if (c == '/' || c == '.') c = '_';
  }
  return path;
}

}  // namespace tenon::golden
