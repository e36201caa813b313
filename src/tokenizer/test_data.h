// Real tokenizers with golden ids, for the tests of this folder: some beside the tests, more where TENON_SHARED_DIR has
// them (or the directory "shared" beside the source tree), for their licences or their size.
#pragma once

#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <memory>
#include <set>
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

inline bool is_there(const std::filesystem::path& folder) { return std::filesystem::exists(folder / "golden.json"); }

/// A folder a tokenizer, each with a golden.json: those of the source tree, or else of the shared directory. A known
/// one is among them where it is in neither, so that its tests show as skipped.
inline std::vector<std::filesystem::path> golden_folders() {
  std::set<std::string> names = {"bert-minilm",  "deepseek-v3", "gemma2",  "gemma3",  "gpt-oss",    "gpt2",
                                 "llama2",       "llama3.2",    "phi-3",   "phi-4",   "qwen2.5",    "qwen3",
                                 "mistral-nemo", "mistral-v1",  "smollm2", "smolvlm", "mistral-v3", "tinystories-260k"};
  const auto beside = source_dir() / "src/tokenizer/testdata";
  for (const auto& root : {beside, shared_dir()}) {
    if (!std::filesystem::is_directory(root)) continue;
    for (const auto& entry : std::filesystem::directory_iterator(root)) {
      if (is_there(entry.path())) names.insert(entry.path().filename());
    }
  }
  std::vector<std::filesystem::path> folders;
  for (const auto& name : names) folders.push_back((is_there(beside / name) ? beside : shared_dir()) / name);
  return folders;
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
