// A fake hub with one model, org/name, and an empty cache beside it.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <string>

#include "base/file.h"
#include "hub/fake_hub.h"
#include "hub/hub.h"

namespace tenon::hub {

namespace fs = std::filesystem;

inline std::string bytes(std::size_t size, unsigned seed) {
  std::string out(size, '\0');
  for (char& c : out) c = static_cast<char>(seed = seed * 1664525 + 1013904223, seed >> 24);
  return out;
}

class Hub : public testing::Test {
 protected:
  Hub() {
    for (const char* name :
         {"http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY", "HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE"})
      ::unsetenv(name);
    std::string pattern = testing::TempDir() + "/tenon_hub_XXXXXX";
    cache_ = ::mkdtemp(pattern.data());
    hub_.files["config.json"] = {.contents = R"({"architectures": ["LlamaForCausalLM"]})"};
    hub_.files["tokenizer.json"] = {.contents = bytes(50'000, 1), .lfs = true};
    hub_.files["model.safetensors"] = {.contents = weights_, .lfs = true};
    hub_.files["README.md"] = {.contents = "not needed"};
    hub_.files["pytorch_model.bin"] = {.contents = "not needed", .lfs = true};
    hub_.files["onnx/model.onnx"] = {.contents = "not needed", .lfs = true};
  }
  ~Hub() override {
    std::error_code ignored;
    fs::remove_all(cache_, ignored);
  }

  HubRequest request(const std::string& repo = "org/name") const {
    HubRequest r{.repo = repo, .config = {}};
    r.config.endpoint = hub_.url();
    r.config.cache_dir = cache_;
    r.config.retry_delay = std::chrono::milliseconds(5);
    return r;
  }
  Result<Snapshot> fetch(const HubRequest& r) {
    hub_.sync();
    auto result = hub::fetch(r);
    hub_.sync();
    return result;
  }
  Result<Snapshot> get() { return fetch(request()); }
  std::string error(const HubRequest& r) {
    const auto result = fetch(r);
    return result ? "no error" : result.error().message;
  }
  std::string root() const { return cache_ + "/models--org--name"; }
  std::string blob(const std::string& etag) const { return root() + "/blobs/" + etag; }
  static std::string read(const std::string& path) { return read_file(path).value_or("(unreadable)"); }
  int downloads() {
    int n = 0;
    for (const auto& r : hub_.cdn_requests()) n += r.method == "GET" && r.path.starts_with("/model.safetensors");
    return n;
  }

  std::string weights_ = bytes(700'000, 2);
  std::string cache_;
  FakeHub hub_;
};

}  // namespace tenon::hub
