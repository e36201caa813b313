// `tenon new`: whatever the config and the donor, the folder passes `tenon check` from the start. The equations are the
// donor's, so that the donor itself stands for them here; tests/e2e compiles some such folders.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>
#include <set>

#include "families.h"
#include "scaffold/scaffold.h"
#include "verify/conformance/conformance.h"

namespace tenon::verify {
namespace {

namespace fs = std::filesystem;

const std::string kSources = std::string(TENON_SOURCE_DIR) + "/src/architectures";

class New : public testing::Test {
 protected:
  New() {
    std::string pattern = testing::TempDir() + "/tenon_new_XXXXXX";
    dir_ = ::mkdtemp(pattern.data());
  }
  ~New() override { fs::remove_all(dir_); }

  // What `tenon check` would say against the folder that is made of `config`; `brief`: without the one check that takes
  // seconds, as it computes in every encoding.
  Problems problems(const Json& config, const std::string& donor, bool brief = false) {
    const fs::path output = dir_ / "novel";
    fs::remove_all(output);
    std::ofstream(dir_ / "config.json") << config.dump();
    const auto made = scaffold::scaffold({.name = config["architectures"][0],
                                          .donor = donor,
                                          .config = (dir_ / "config.json").string(),
                                          .output = output.string()},
                                         kSources);
    if (!made) return {made.error().message};
    const Json tiny = read_json_file((output / "tiny" / "config.json").string()).value();
    Problems all;
    for (const ConformanceCheck& check : conformance_checks()) {
      if (brief && check.run == check_one_answer) continue;
      for (const std::string& problem : check.run(*made->donor.architecture, tiny)) {
        all.push_back(std::string(made->donor.family) + ", " + std::string(check.name) + ": " + problem);
      }
    }
    return all;
  }

 private:
  fs::path dir_;
};

// Of none of the donors: fields of other names, in part, and a rope that is scaled.
const Json kConfigs[] = {
    Json::parse(R"({"architectures": ["GPT2LMHeadModel"], "model_type": "gpt2", "activation_function": "gelu_new",
      "layer_norm_epsilon": 1e-05, "n_ctx": 1024, "n_embd": 768, "n_head": 12, "n_layer": 12, "n_positions": 1024,
      "n_inner": null, "scale_attn_weights": true, "summary_type": "cls_index", "vocab_size": 50257})"),
    Json::parse(R"({"architectures": ["NovelForCausalLM"], "model_type": "novel", "vocab_size": 128256,
      "hidden_size": 2048, "intermediate_size": 8192, "num_hidden_layers": 16, "num_attention_heads": 32,
      "num_key_value_heads": 8, "rms_norm_eps": 1e-5, "max_position_embeddings": 131072, "rope_theta": 500000.0,
      "rope_scaling": {"rope_type": "llama3", "factor": 32.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
      "original_max_position_embeddings": 8192}})"),
    Json::parse(R"({"architectures": ["Gemma3ThriftyForConditionalGeneration"], "model_type": "thrifty",
      "vision_config": {"hidden_size": 1152}, "text_config": {"hidden_size": 2560, "intermediate_size": 10240,
      "num_hidden_layers": 34, "rope_scaling": {"factor": 8.0, "rope_type": "linear"}, "sliding_window": 1024}})"),
};

TEST_F(New, OfTheNearestDonor) {
  for (const Json& config : kConfigs) EXPECT_THAT(problems(config, ""), testing::IsEmpty()) << config;
}

// Every published config that there is, of classes that are built in too: their donors have all checks below.
TEST_F(New, OfRealConfigs) {
  const fs::path source = TENON_SOURCE_DIR;
  const char* given = std::getenv("TENON_SHARED_DIR");
  const fs::path shared = given != nullptr ? fs::path(given) : source / ".." / "shared";
  std::map<std::string, fs::path> paths;
  for (const fs::path& root : {source / "tests" / "data" / "hf_configs", shared / "hf_configs"}) {
    if (!fs::exists(root)) continue;
    for (const fs::directory_entry& entry : fs::directory_iterator(root)) {
      const fs::path path = entry.path() / "config.json";
      if (fs::exists(path)) paths[entry.path().filename().string()] = path;
    }
  }
  if (paths.empty()) GTEST_SKIP() << "skipped: there are no published configs in " << shared;
  std::set<std::string> novel;
  for (const auto& [repository, path] : paths) {
    const Json config = read_json_file(path.string()).value();
    if (!config.contains("architectures")) continue;
    const std::string name = config["architectures"][0];
    const bool brief = model::find_architecture(name, nullptr) || !novel.insert(name).second;
    EXPECT_THAT(problems(config, "", brief), testing::IsEmpty()) << path;
  }
}

class NewFrom : public New, public testing::WithParamInterface<model::RegistryEntry> {};

TEST_P(NewFrom, PassesItsCheck) {
  for (const Json& config : kConfigs) {
    const bool brief = &config != &kConfigs[0];
    EXPECT_THAT(problems(config, std::string(GetParam().family), brief), testing::IsEmpty()) << config;
  }
}

INSTANTIATE_TEST_SUITE_P(Registry, NewFrom, testing::ValuesIn(model::registry()),
                         [](const auto& test) { return std::string(test.param.family); });

}  // namespace
}  // namespace tenon::verify
