#include "scaffold/scaffold.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "base/file.h"
#include "scaffold/rename.h"

namespace tenon::scaffold {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
namespace fs = std::filesystem;

const std::string kSources = std::string(TENON_SOURCE_DIR) + "/src/architectures";

class ScaffoldTest : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = testing::TempDir() + "/tenon_scaffold_XXXXXX";
    dir_ = ::mkdtemp(pattern.data());
    config_ = Json::parse(R"({"architectures": ["NovelForCausalLM"], "model_type": "novel", "vocab_size": 128256,
      "hidden_size": 2048, "intermediate_size": 8192, "num_hidden_layers": 16, "num_attention_heads": 32,
      "num_key_value_heads": 8, "rms_norm_eps": 1e-5, "max_position_embeddings": 131072})");
  }
  void TearDown() override { fs::remove_all(dir_); }
  std::string write(const Json& config) {
    std::ofstream(dir_ / "config.json") << config.dump();
    return (dir_ / "config.json").string();
  }
  Result<Scaffold> make(const std::string& donor, const std::string& name = "NovelForCausalLM") {
    return scaffold({.name = name, .donor = donor, .config = write(config_), .output = (dir_ / "novel").string()},
                    kSources);
  }
  std::string text(const std::string& file) { return read_file((dir_ / "novel" / file).string()).value(); }

  fs::path dir_;
  Json config_;
};

TEST_F(ScaffoldTest, EveryFamilyIsRenamedWhole) {
  for (const model::RegistryEntry& entry : model::registry()) {
    const std::string family(entry.family);
    const auto files = renamed_sources(kSources, {std::string(entry.architecture->name), family, family},
                                       {"NovelForCausalLM", "novel", "novel"}, {"- a difference"});
    ASSERT_TRUE(files) << files.error().message;
    ASSERT_TRUE(files->contains("novel.h")) << family;
    for (const auto& [name, source] : *files) {
      EXPECT_THAT(source, AllOf(Not(HasSubstr("architectures::" + family)), Not(HasSubstr(family + "::Config")),
                                Not(HasSubstr("\"" + family + ".h\"")), HasSubstr("TODO")))
          << family << "/" << name;
    }
    EXPECT_THAT(files->at("arch.cpp"), AllOf(HasSubstr(".name = \"NovelForCausalLM\""), Not(HasSubstr(".also")),
                                             HasSubstr("and embedding (if any) this model's?")))
        << family;
    for (const std::string_view other : entry.architecture->also) {
      for (const auto& [name, source] : *files) EXPECT_THAT(source, Not(HasSubstr(std::string(other)))) << name;
    }
    for (const std::string_view other : entry.architecture->gguf.architectures) {
      EXPECT_THAT(files->at("arch.cpp"), Not(HasSubstr("{\"" + std::string(other) + "\"}"))) << family;
    }
    EXPECT_THAT(files->at("model_config.cpp"), HasSubstr("// - a difference\nstd::shared_ptr")) << family;
  }
}

TEST_F(ScaffoldTest, ListsWhereTheConfigsDiffer) {
  config_["clip_everything"] = 3.5;
  config_["hidden_act"] = "gelu_9000";
  config_.erase("intermediate_size");
  config_["evil\n#include </etc/passwd>\n"] = "\\";
  const auto made = make("llama");
  ASSERT_TRUE(made) << made.error().message;
  const std::string source = text("model_config.cpp");
  EXPECT_THAT(source, AllOf(HasSubstr("// - \"clip_everything\" = 3.5 is not read by llama"),
                            HasSubstr("// - \"hidden_act\" = \"gelu_9000\" is refused by llama"),
                            HasSubstr("// - \"intermediate_size\" is not there, and llama requires it"),
                            HasSubstr("// - \"tie_word_embeddings\" is not there: llama takes false"),
                            Not(HasSubstr("\n#include </etc")), Not(HasSubstr("\\\n"))));
  // What the donor does not take is not in the tiny config, which is one of the donor's therefore.
  const Json tiny = Json::parse(text("tiny/config.json"));
  EXPECT_FALSE(tiny.contains("clip_everything") || tiny.contains("hidden_act"));
  EXPECT_EQ(tiny["hidden_size"], 64);
  EXPECT_EQ(tiny["num_hidden_layers"], 2);
  EXPECT_EQ(tiny["architectures"], Json::array({"NovelForCausalLM"}));
  EXPECT_TRUE(model::parse_config(*made->donor.architecture, tiny));
  EXPECT_THAT(text("arch.cpp"), AllOf(HasSubstr(".architectures = {\"novel\"}"), Not(HasSubstr("SmolLM2"))));
  EXPECT_THAT(to_text(*made), AllOf(HasSubstr("its test, "), HasSubstr("tenon check " + made->folder)));
}

TEST_F(ScaffoldTest, SizesThatTheConfigLeavesToTheDonorAreTinyToo) {
  config_ = Json::parse(R"({"architectures": ["NovelForCausalLM"], "hidden_size": 2560, "intermediate_size": 10240,
      "num_hidden_layers": 34})");
  const auto made = make("gemma3");
  ASSERT_TRUE(made) << made.error().message;
  const Json tiny = Json::parse(text("tiny/config.json"));
  for (const auto& [field, size] : {std::pair{"vocab_size", 96},
                                    {"num_attention_heads", 4},
                                    {"num_key_value_heads", 2},
                                    {"head_dim", 16},
                                    {"max_position_embeddings", 128},
                                    {"sliding_window", 16}}) {
    EXPECT_EQ(tiny.value(field, 0), size) << field;
  }
}

TEST_F(ScaffoldTest, AFieldOfARopeIsListedOnce) {
  const auto times = [&](const char* field) {
    const std::string source = text("model_config.cpp");
    const std::string stated = std::string(field) + "\" is not there: llama takes";
    std::size_t count = 0;
    for (std::size_t at = source.find(stated); at != std::string::npos; at = source.find(stated, at + 1)) ++count;
    fs::remove_all(dir_ / "novel");
    return count;
  };
  for (const char* field : {"rope_theta", "rope_scaling", "rope_parameters"}) config_.erase(field);
  ASSERT_TRUE(make("llama"));
  EXPECT_EQ(times("rope_theta"), 1u);
  // It is there, if not at the top.
  config_["rope_parameters"] = {{"rope_type", "default"}, {"rope_theta", 500000.0}};
  ASSERT_TRUE(make("llama"));
  EXPECT_EQ(times("rope_theta"), 0u);
}

TEST_F(ScaffoldTest, AnObjectThatIsRefusedWithAndWithoutItsFieldIsLeftOut) {
  config_["rope_scaling"] = {{"type", "yarn"}, {"factor", 4.0}};  // Phi-3's "yarn" has lists of factors
  const auto made = make("phi3");
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_THAT(text("model_config.cpp"),
              AllOf(HasSubstr(R"(// - "rope_scaling" = {"type":"yarn","factor":4.0} is refused by phi3: )"),
                    Not(HasSubstr("rope_scaling.factor"))));
  EXPECT_FALSE(Json::parse(text("tiny/config.json")).contains("rope_scaling"));
}

TEST_F(ScaffoldTest, ASizeThatTheDonorsDefaultDoesNotMendIsTiny) {
  config_["hidden_size"] = 5120, config_["num_attention_heads"] = 24;  // which do not divide, nor do BERT's 12
  const auto made = make("bert");
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_THAT(text("model_config.cpp"), HasSubstr(R"(// - "num_attention_heads" = 24 is refused by bert: )"));
  EXPECT_EQ(Json::parse(text("tiny/config.json"))["num_attention_heads"], 4);
}

TEST_F(ScaffoldTest, TheNearestDonorWithoutAName) {
  const auto made = make("");
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_TRUE(fs::exists(dir_ / "novel" / "novel.h"));
}

TEST_F(ScaffoldTest, ADonorByAClassThatItRunsToo) {
  const auto made = make("Llama4ForConditionalGeneration");
  ASSERT_TRUE(made) << made.error().message;
  EXPECT_EQ(made->donor.family, "llama4");
  EXPECT_THAT(text("arch.cpp"), AllOf(HasSubstr(".gguf = gguf};"), Not(HasSubstr("Llama4"))));
  EXPECT_THAT(make("Llama4ForConditionalGenerations").error().message,
              HasSubstr("did you mean Llama4ForConditionalGeneration?"));
}

TEST_F(ScaffoldTest, WhatIsWrongIsSaid) {
  const auto error = [&](const Result<Scaffold>& made) { return made ? "(made)" : made.error().message; };
  EXPECT_THAT(error(make("llama", "my-model")), HasSubstr("is not the name of a class"));
  EXPECT_THAT(error(make("llama", "OtherForCausalLM")), HasSubstr("is of \"NovelForCausalLM\""));
  EXPECT_THAT(error(make("lama")), HasSubstr("did you mean llama?"));
  fs::create_directory(dir_ / "novel");
  EXPECT_THAT(error(make("llama")), HasSubstr("exists, and nothing is overwritten"));
  const auto with = [&](const std::string& config, const std::string& output) {
    return error(
        scaffold({.name = "NovelForCausalLM", .donor = "llama", .config = config, .output = output}, kSources));
  };
  EXPECT_THAT(with("/no/such.json", (dir_ / "a").string()), HasSubstr("/no/such.json"));
  EXPECT_THAT(with(write(config_), (dir_ / "int").string()), HasSubstr("cannot be the folder's name"));
  EXPECT_THAT(with(write(Json::array()), (dir_ / "a").string()), HasSubstr("is not a JSON object"));
  EXPECT_FALSE(fs::exists(dir_ / "a"));
}

}  // namespace
}  // namespace tenon::scaffold
