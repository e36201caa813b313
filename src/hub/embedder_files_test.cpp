// The files of sentence-transformers, which say what vectors are made of the hidden states.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "hub/hub_fixture.h"
#include "hub/names.h"

namespace tenon::hub {
namespace {

using testing::Contains;
using testing::HasSubstr;
using testing::IsSupersetOf;
using testing::Not;

class EmbedderFiles : public Hub {
 protected:
  EmbedderFiles() {
    hub_.files["modules.json"] = {.contents = R"([
      {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
      {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
      {"idx": 2, "name": "2", "path": "2_Dense", "type": "sentence_transformers.models.Dense"},
      {"idx": 3, "name": "3", "path": "3_Normalize", "type": "sentence_transformers.models.Normalize"}])"};
    hub_.files["1_Pooling/config.json"] = {.contents = R"({"pooling_mode_cls_token": true})"};
    hub_.files["2_Dense/config.json"] = {.contents = R"({"in_features": 8})"};
    hub_.files["2_Dense/model.safetensors"] = {.contents = "not needed", .lfs = true};
    hub_.files["4_Other/config.json"] = {.contents = "not needed"};
    hub_.files["sentence_bert_config.json"] = {.contents = R"({"max_seq_length": 64})"};
    hub_.files["config_sentence_transformers.json"] = {.contents = R"({"prompts": {}})"};
  }
};

const std::vector<std::string> kFiles = {"modules.json", "1_Pooling/config.json", "2_Dense/config.json",
                                         "sentence_bert_config.json", "config_sentence_transformers.json"};

TEST_F(EmbedderFiles, AreDownloaded) {
  const auto snapshot = get();
  ASSERT_TRUE(snapshot) << snapshot.error().message;
  EXPECT_EQ(snapshot->files.size(), 3 + kFiles.size());
  EXPECT_THAT(snapshot->files, IsSupersetOf(kFiles));
  for (const std::string& file : kFiles) {
    EXPECT_EQ(read(snapshot->directory + "/" + file), hub_.files[file].contents) << file;
  }
  EXPECT_EQ(fs::read_symlink(snapshot->directory + "/1_Pooling/config.json"),
            "../../../blobs/" + git_sha1(hub_.files["1_Pooling/config.json"].contents));
}

TEST_F(EmbedderFiles, CompleteACacheOfAnEarlierVersion) {
  const auto all = hub_.files;
  for (const std::string& file : kFiles) hub_.files.erase(file);
  ASSERT_TRUE(get());
  hub_.files = all;
  const auto snapshot = get();
  ASSERT_TRUE(snapshot) << snapshot.error().message;
  for (const std::string& file : kFiles) EXPECT_TRUE(fs::exists(snapshot->directory + "/" + file)) << file;
  EXPECT_EQ(downloads(), 1);
}

TEST_F(EmbedderFiles, AreMissedOfflineWhereModulesJsonNamesThem) {
  const auto snapshot = get();
  ASSERT_TRUE(snapshot) << snapshot.error().message;
  HubRequest r = request();
  r.config.offline = true;
  EXPECT_TRUE(fetch(r)) << error(r);
  fs::remove(snapshot->directory + "/2_Dense/config.json");  // the loader does not read it
  EXPECT_TRUE(fetch(r)) << error(r);
  fs::remove(snapshot->directory + "/1_Pooling/config.json");
  EXPECT_THAT(error(r), HasSubstr("1_Pooling/config.json is missing"));
}

TEST_F(EmbedderFiles, AreNotNeededForAGguf) {
  hub_.files["m.gguf"] = {.contents = "GGUF", .lfs = true};
  const auto snapshot = fetch(request("org/name/m.gguf"));
  ASSERT_TRUE(snapshot) << snapshot.error().message;
  EXPECT_THAT(snapshot->files, Not(Contains("modules.json")));
}

TEST(Modules, NameFoldersBesideThem) {
  const auto configs = configs_of_modules(
      R"([1, {"path": "../x", "type": "a.Pooling"}, {"path": 1}, {"path": "1_P", "type": "a.Pooling"}, {"path": "2_N"}])");
  ASSERT_EQ(configs.size(), 2u);
  EXPECT_EQ(configs[0].file, "1_P/config.json");
  EXPECT_TRUE(configs[0].needed);
  EXPECT_EQ(configs[1].file, "2_N/config.json");
  EXPECT_FALSE(configs[1].needed);
  for (const char* bad : {"", "{", "{}", "null"}) EXPECT_TRUE(configs_of_modules(bad).empty()) << bad;
}

}  // namespace
}  // namespace tenon::hub
