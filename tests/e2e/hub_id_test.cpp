// The real program with a hub id, which a hub on the loopback interface answers.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>
#include <iterator>

#include "embedding_model.h"
#include "hub/fake_hub.h"
#include "server_process.h"

namespace tenon::e2e {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
namespace fs = std::filesystem;

class HubId : public testing::Test {
 protected:
  HubId() {
    for (const char* name : {"http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY", "TRANSFORMERS_OFFLINE", "HF_TOKEN"})
      ::unsetenv(name);
    ::setenv("HF_ENDPOINT", hub_.url().c_str(), 1);
    ::setenv("HF_HUB_CACHE", cache_.path().c_str(), 1);
  }
  ~HubId() override {
    for (const char* name : {"HF_ENDPOINT", "HF_HUB_CACHE", "HF_HUB_OFFLINE"}) ::unsetenv(name);
  }
  /// What `tenon inspect MODEL`, which must fail, says.
  std::string sentence(const std::string& model) {
    hub_.sync();
    const Finished end = run({"inspect", model});
    EXPECT_EQ(end.status, 1) << end.out << end.err;
    const auto at = end.err.find("tenon: ");
    return at == std::string::npos ? end.err : end.err.substr(at);
  }
  /// All files below `directory` make the repo org/name.
  void upload(const fs::path& directory) {
    for (const auto& entry : fs::recursive_directory_iterator(directory)) {
      if (!entry.is_regular_file()) continue;
      std::ifstream file(entry.path(), std::ios::binary);
      hub_.files[entry.path().lexically_relative(directory).string()] = {
          .contents = std::string(std::istreambuf_iterator<char>(file), {}),
          .lfs = entry.path().extension() == ".safetensors"};
    }
    hub_.sync();
  }

  hub::FakeHub hub_;
  TempDir cache_;
};

TEST_F(HubId, AnEmbedderGivesTheVectorsOfItsDirectory) {
  const TempDir dir;
  make_embedding_model("bert/gelu", dir.path(), 64);
  const Finished want = run({"encode", dir.path().string(), "-t", "w4 w5"});
  ASSERT_EQ(want.status, 0) << want.err;
  EXPECT_THAT(want.err, Not(HasSubstr("has no modules.json")));

  // As an earlier Tenon left the cache: without the files of sentence-transformers.
  upload(dir.path());
  const auto all = hub_.files;
  for (const char* name : {"modules.json", "1_Pooling/config.json", "sentence_bert_config.json"})
    hub_.files.erase(name);
  hub_.sync();
  const Finished bare = run({"encode", "org/name", "-t", "w4 w5"});
  ASSERT_EQ(bare.status, 0) << bare.err;
  EXPECT_NE(bare.out, want.out);
  EXPECT_THAT(bare.err,
              HasSubstr("has no modules.json, so its vectors are the mean of the tokens' states, not normal"));

  hub_.sync();
  hub_.files = all;
  hub_.sync();
  const Finished got = run({"encode", "org/name", "-t", "w4 w5"});
  ASSERT_EQ(got.status, 0) << got.err;
  EXPECT_EQ(got.out, want.out);
  EXPECT_THAT(got.err, Not(HasSubstr("has no modules.json")));
}

TEST_F(HubId, ErrorsBeginWithWhatTheHubSays) {
  hub_.files = {{"config.json", {.contents = "{}"}}, {"model.safetensors", {.contents = "x", .lfs = true}}};
  hub_.gated = true;
  // Of which file is a matter of luck.
  EXPECT_THAT(sentence("org/name"), AllOf(testing::StartsWith("tenon: org/name/"),
                                          HasSubstr(" is gated: accept its terms"), Not(HasSubstr("nor is there"))));
  hub_.gated = false;
  EXPECT_THAT(sentence("org/absent"), AllOf(testing::StartsWith("tenon: org/absent does not exist on " + hub_.url()),
                                            HasSubstr("; nor is there a file or directory org/absent\n")));
  EXPECT_THAT(sentence("smollm2"),
              AllOf(testing::StartsWith("tenon: smollm2 does not exist on "),
                    HasSubstr("; nor is there a file or directory smollm2 (hub ids have the form org/name)")));
}

TEST_F(HubId, AnUnreachableHubIsToldSoonAndWhileItIsTried) {
  ::setenv("HF_ENDPOINT", "http://127.0.0.1:1", 1);
  const Finished end = run({"inspect", "smollm2"}, 5);
  EXPECT_EQ(end.status, 1);
  EXPECT_THAT(end.err, AllOf(HasSubstr("info there is no file or directory smollm2; looking for a model of that name"),
                             HasSubstr("warning cannot reach 127.0.0.1:1"), HasSubstr("; trying again (1 of 1)"),
                             HasSubstr("tenon: cannot reach 127.0.0.1:1")));
}

TEST_F(HubId, OfflineSaysWhatTheCacheLacks) {
  hub_.files = {{"config.json", {.contents = "{}"}}, {"model.safetensors", {.contents = "x", .lfs = true}}};
  sentence("org/name");  // downloads both; they make no model
  ::setenv("HF_HUB_OFFLINE", "1", 1);
  EXPECT_THAT(sentence("org/name"), AllOf(HasSubstr("tokenizer.json is missing; HF_HUB_OFFLINE forbids a download"),
                                          testing::StartsWith("tenon: org/name (main) is only in part in the cache ")));
}

}  // namespace
}  // namespace tenon::e2e
