// The small parts of hub/: environment, names, ETags, digests, progress.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "hub/cache.h"
#include "hub/digest.h"
#include "hub/fake_hub.h"
#include "hub/http.h"
#include "hub/names.h"
#include "hub/progress_bar.h"

namespace tenon::hub {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class Environment : public testing::Test {
 protected:
  Environment() {
    for (const char* name : kNames) {
      const char* value = std::getenv(name);
      before_.emplace_back(name, value ? value : "");
      ::unsetenv(name);
    }
  }
  ~Environment() override {
    for (const auto& [name, value] : before_) {
      if (value.empty())
        ::unsetenv(name);
      else
        ::setenv(name, value.c_str(), 1);
    }
  }
  static constexpr const char* kNames[] = {"HF_HOME",
                                           "HF_HUB_CACHE",
                                           "HUGGINGFACE_HUB_CACHE",
                                           "HF_TOKEN",
                                           "HUGGING_FACE_HUB_TOKEN",
                                           "HF_TOKEN_PATH",
                                           "HOME",
                                           "HF_ENDPOINT",
                                           "XDG_CACHE_HOME",
                                           "HF_HUB_OFFLINE",
                                           "TRANSFORMERS_OFFLINE",
                                           "HF_HUB_DISABLE_IMPLICIT_TOKEN"};
  std::vector<std::pair<const char*, std::string>> before_;
};

TEST_F(Environment, FindsTheCache) {
  ::setenv("HOME", "/home/u", 1);
  EXPECT_EQ(HubConfig::from_environment().cache_dir, "/home/u/.cache/huggingface/hub");
  EXPECT_EQ(HubConfig::from_environment().endpoint, "https://huggingface.co");
  ::setenv("XDG_CACHE_HOME", "/x", 1);
  EXPECT_EQ(HubConfig::from_environment().cache_dir, "/x/huggingface/hub");
  ::setenv("HF_HOME", "~/hf/", 1);
  EXPECT_EQ(HubConfig::from_environment().cache_dir, "/home/u/hf/hub");
  ::setenv("HF_HUB_CACHE", "/c", 1);
  EXPECT_EQ(HubConfig::from_environment().cache_dir, "/c");
  ::setenv("HF_ENDPOINT", "http://mirror/", 1);
  EXPECT_EQ(HubConfig::from_environment().endpoint, "http://mirror");
}

TEST_F(Environment, FindsTheTokenAndOfflineMode) {
  const std::string home = testing::TempDir() + "/tenon_hub_home";
  std::filesystem::create_directories(home);
  ::setenv("HF_HOME", home.c_str(), 1);
  EXPECT_EQ(HubConfig::from_environment().token, "");
  std::ofstream(home + "/token") << " hf_file\n";
  EXPECT_EQ(HubConfig::from_environment().token, "hf_file");
  ::setenv("HF_TOKEN", "hf_env", 1);
  EXPECT_EQ(HubConfig::from_environment().token, "hf_env");
  ::setenv("HF_TOKEN", "hf_env\r\nX-Evil: 1", 1);
  EXPECT_EQ(HubConfig::from_environment().token, "");
  EXPECT_FALSE(HubConfig::from_environment().offline);
  for (const char* on : {"1", "true", "YES", "on"}) {
    ::setenv("HF_HUB_OFFLINE", on, 1);
    EXPECT_TRUE(HubConfig::from_environment().offline) << on;
  }
  ::setenv("HF_HUB_OFFLINE", "0", 1);
  EXPECT_FALSE(HubConfig::from_environment().offline);
  std::filesystem::remove_all(home);
}

TEST(Names, SplitsAGgufFileOff) {
  EXPECT_EQ(parse_repo("org/name/dir/x.gguf")->gguf_file, "dir/x.gguf");
  EXPECT_EQ(parse_repo("org/name/dir/x.gguf")->repo, "org/name");
  EXPECT_EQ(parse_repo("gpt2")->repo, "gpt2");
  EXPECT_FALSE(parse_repo("org/name/x.safetensors"));
  EXPECT_FALSE(parse_repo("org/name/"));
  EXPECT_TRUE(is_hub_id("Qwen/Qwen2.5-0.5B_x"));
}

TEST(Names, KnowsSplitGguf) {
  EXPECT_THAT(gguf_parts("x.gguf"), ElementsAre("x.gguf"));
  EXPECT_THAT(gguf_parts("d/x-00002-of-00002.gguf"), ElementsAre("d/x-00001-of-00002.gguf", "d/x-00002-of-00002.gguf"));
  EXPECT_THAT(gguf_parts("x-00003-of-00002.gguf"), ElementsAre("x-00003-of-00002.gguf"));
  EXPECT_THAT(gguf_parts("-00001-of-00001.gguf"), ElementsAre("-00001-of-00001.gguf"));
}

TEST(Names, ReadsShardsOfAnIndex) {
  EXPECT_THAT(*shards_of_index(R"({"weight_map":{"a":"y","b":"x","c":"y"}})", "i"), ElementsAre("x", "y"));
  for (const char* bad : {"", "[]", "{", R"({"weight_map":{"a":"../x"}})", R"({"weight_map":{"a":1}})"}) {
    EXPECT_FALSE(shards_of_index(bad, "i")) << bad;
  }
}

TEST(Cache, ReadsEtags) {
  EXPECT_EQ(etag_of_header("\"abc\""), "abc");
  EXPECT_EQ(etag_of_header("W/\"abc-1\""), "abc-1");
  for (const char* bad : {"", "\"\"", "\"../x\"", "\"a/b\"", "\".hidden\"", "\"a b\""})
    EXPECT_EQ(etag_of_header(bad), "") << bad;
  EXPECT_EQ(etag_of_header(std::string(1000, 'a')), "");
}

TEST(Cache, NamesAFullDisk) {
  EXPECT_EQ(write_error("/x", "write", ENOSPC).code, ErrorCode::kResourceExhausted);
  EXPECT_THAT(write_error("/x", "write", ENOSPC).message, HasSubstr("HF_HOME"));
  EXPECT_EQ(write_error("/x", "write", EACCES).code, ErrorCode::kPermissionDenied);
}

TEST(DigestTest, ChecksBothKindsAndRestarts) {
  const std::string text = "what the file holds\n";
  for (const std::string& etag : {sha256(text), git_sha1(text)}) {
    Digest digest(etag, static_cast<std::int64_t>(text.size()));
    EXPECT_TRUE(digest.checks());
    digest.update("spoiled", 7);
    EXPECT_FALSE(digest.matches());
    digest.restart();
    digest.update(text.data(), 5);
    digest.update(text.data() + 5, text.size() - 5);
    EXPECT_TRUE(digest.matches());
  }
  EXPECT_EQ(git_sha1(""), "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391");  // git hash-object /dev/null
  Digest other("some-other-etag", 3);
  EXPECT_FALSE(other.checks());
  other.update("xyz", 3);
  EXPECT_TRUE(other.matches());
}

TEST(Http, KnowsOriginsAndEncodesPaths) {
  EXPECT_TRUE(same_origin("https://a.co/x", "https://A.co:443/y?z"));
  EXPECT_FALSE(same_origin("https://a.co/x", "http://a.co/x"));
  EXPECT_FALSE(same_origin("http://a.co:1/x", "http://a.co:2/x"));
  EXPECT_FALSE(same_origin("https://a.co/", "https://a.co.evil.com/"));
  EXPECT_FALSE(same_origin("https://a.co@evil.com/", "https://a.co/"));
  EXPECT_EQ(url_path("a b/ü#?.json"), "a%20b/%C3%BC%23%3F.json");
  EXPECT_EQ(url_part("refs/pr/1"), "refs%2Fpr%2F1");
}

TEST(Http, EndsLoopsAndRefusesOtherSchemes) {
  for (const char* name : {"http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"}) ::unsetenv(name);
  LoopbackServer server([](const FakeRequest& r) {
    return FakeResponse{302, {{"Location", r.path == "/file" ? "file:///etc/passwd" : "/again"}}, "", SIZE_MAX};
  });
  HubConfig config;
  config.endpoint = server.url();
  HttpClient http(config);
  EXPECT_THAT(http.get(server.url() + "/loop").error().message, HasSubstr("redirects more than"));
  EXPECT_FALSE(http.get(server.url() + "/file"));
  EXPECT_FALSE(http.get("ftp://127.0.0.1/"));
}

TEST(ProgressLine, ShowsShareSizesAndSpeed) {
  const Progress p{.file = "w", .done = 1, .total = 2, .all_done = 120'000'000, .all_total = 240'000'000};
  EXPECT_EQ(progress_line(p, 12e6), "w   50 % [############............]  120 MB of 240 MB, 12.0 MB/s, 10 s left");
  EXPECT_THAT(progress_line({.file = "w"}, 0), HasSubstr("100 %"));
  EXPECT_EQ(format_bytes(999), "999 B");
  EXPECT_EQ(format_bytes(2'500'000'000), "2.5 GB");
}

TEST(ProgressLine, IsPrintedNowAndThenToAFile) {
  std::FILE* file = std::tmpfile();
  ASSERT_NE(file, nullptr);
  {
    ProgressBar bar(file);
    for (int i = 0; i <= 1000; ++i)
      bar.update({.file = "w", .done = i, .total = 1000, .all_done = i, .all_total = 1000});
  }
  std::rewind(file);
  int lines = 0;
  for (int c; (c = std::fgetc(file)) != EOF;) lines += c == '\n';
  std::fclose(file);
  EXPECT_EQ(lines, 11);
}

}  // namespace
}  // namespace tenon::hub
