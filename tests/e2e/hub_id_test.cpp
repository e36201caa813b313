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

  hub_.files = all;
  hub_.sync();
  const Finished got = run({"encode", "org/name", "-t", "w4 w5"});
  ASSERT_EQ(got.status, 0) << got.err;
  EXPECT_EQ(got.out, want.out);
  EXPECT_THAT(got.err, Not(HasSubstr("has no modules.json")));
}

}  // namespace
}  // namespace tenon::e2e
