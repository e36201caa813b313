// Replays a fuzzer's seeds without libFuzzer: each seed, its prefixes, and a fixed sequence of small changes.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdint>
#include <filesystem>
#include <random>
#include <string>
#include <vector>

#include "base/file.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace tenon {
namespace {

void feed(const std::string& text) {
  // A buffer of the exact size, so that AddressSanitizer sees a read beyond it.
  const std::vector<std::uint8_t> bytes(text.begin(), text.end());
  LLVMFuzzerTestOneInput(bytes.data(), bytes.size());
}

std::vector<std::string> seeds() {
  std::vector<std::string> paths, texts;
  for (const auto& entry : std::filesystem::directory_iterator(TENON_FUZZ_CORPUS))
    paths.push_back(entry.path().string());
  std::sort(paths.begin(), paths.end());
  for (const std::string& path : paths) texts.push_back(read_file(path).value_or(""));
  return texts;
}

TEST(FuzzCorpus, TENON_FUZZ_NAME) {
  const std::vector<std::string> all = seeds();
  ASSERT_FALSE(all.empty()) << "no seeds in " TENON_FUZZ_CORPUS;
  feed("");
  std::mt19937 random(1);
  const auto below = [&](std::size_t n) { return static_cast<std::size_t>(random() % n); };
  const char edges[] = {0, 1, 127, -1, -128, '"', '{', '['};
  for (const std::string& seed : all) {
    feed(seed);
    const std::size_t step = std::max<std::size_t>(seed.size() * 2 / TENON_FUZZ_CHANGES, 1);
    for (std::size_t n = 0; n < seed.size(); n += step) feed(seed.substr(0, n));
    for (int i = 0; i < TENON_FUZZ_CHANGES && !seed.empty(); ++i) {
      std::string changed = seed;
      for (std::size_t k = below(3) + 1; k > 0; --k) {
        const std::size_t at = below(changed.size());
        switch (below(4)) {
          case 0:
            changed[at] = static_cast<char>(random());
            break;
          case 1:
            changed[at] = edges[below(sizeof edges)];
            break;
          case 2:
            changed.insert(at, 1 + below(8), edges[below(sizeof edges)]);
            break;
          default:
            if (changed.size() > 8) changed.erase(at, 1 + below(8));
        }
        if (changed.empty()) break;
      }
      feed(changed);
    }
  }
}

}  // namespace
}  // namespace tenon
