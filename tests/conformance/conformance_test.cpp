// Every line of registry.def takes part in every check of src/verify/conformance by being registered. All that it needs
// is the config of a tiny model: those of its goldens, or tiny/config.json in its folder.
#include "verify/conformance/conformance.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "families.h"
#include "verify/conformance/specimen.h"

namespace tenon::verify {

static void PrintTo(const ConformanceCheck& check, std::ostream* out) { *out << check.name; }

namespace {

namespace fs = std::filesystem;

std::string no_config(std::string_view family) {
  return "family " + std::string(family) +
         " is in registry.def, but has no tiny config: put the config.json of a model " +
         "of two small layers at src/architectures/" + std::string(family) + "/tiny/config.json, or add a case " +
         std::string(family) + "/NAME to CASES in tools/make_golden.py and run it";
}

using Case = std::tuple<model::RegistryEntry, ConformanceCheck>;
class Conformance : public testing::TestWithParam<Case> {};

TEST_P(Conformance, Holds) {
  const auto& [entry, check] = GetParam();
  std::vector<fs::path> configs = tiny_configs(entry.family);
  ASSERT_FALSE(configs.empty()) << no_config(entry.family);
  // Ten encodings are many: those of the first config alone. The goldens' own tests run the others in float32.
  if (check.run == check_one_answer) configs.resize(1);
  for (const fs::path& path : configs) {
    const auto config = read_json_file(path.string());
    ASSERT_TRUE(config) << config.error().message;
    EXPECT_THAT(check.run(*entry.architecture, *config), testing::IsEmpty()) << path << ": " << check.promise;
  }
}

// -- the checks themselves: each finds what it is there for

// Llama with one part replaced.
struct Broken {
  model::Architecture architecture = *model::find_architecture("LlamaForCausalLM", nullptr)->architecture;
  Json config = *read_json_file(tiny_configs("llama").front().string());
};

TEST(ConformanceFinds, AModelThatDoesNotSeeItsPast) {
  // No attention: each token for itself.
  struct Model final : model::PipelineModel {
    using Config = model::ModelConfig;
    explicit Model(std::shared_ptr<const Config>) {}
    std::vector<tensor::KvLayer> kv_parameters() const override { return {}; }
    void build(const model::BuildContext& context) const override {
      const nn::RaggedBatch b(context.graph);
      const nn::Scope root(context.graph);
      const nn::Embedding embed(root / "embed", 96, 32);
      context.graph.output("logits", nn::Linear(root / "head", 32, 96)(b.sampled(embed(b.token_ids))));
    }
  };
  Broken broken;
  broken.architecture.encodings = {model::Encoding::kFloat32};
  broken.architecture.default_encoding = model::Encoding::kBFloat16;
  broken.architecture.parse_config = [](model::ConfigReader& config) -> std::shared_ptr<model::ModelConfig> {
    auto c = std::make_shared<model::ModelConfig>();
    c->vocab_size = 96, c->max_position_embeddings = 64;
    for (const char* field : {"vocab_size", "hidden_size", "num_attention_heads", "num_key_value_heads",
                              "intermediate_size", "num_hidden_layers", "head_dim", "rope_parameters", "hidden_act",
                              "rms_norm_eps", "max_position_embeddings", "attention_bias", "mlp_bias"}) {
      config.accept(field);
    }
    return c;
  };
  broken.architecture.make_model = model::make<Model>;
  EXPECT_THAT(check_one_answer(broken.architecture, broken.config),
              testing::ElementsAre(testing::HasSubstr("float32: the last token's result does not depend on the token"),
                                   testing::HasSubstr("the default encoding bfloat16 is not among")));
}

TEST(ConformanceFinds, AdaptersThatTakeTooMuchOrTheWrongTensor) {
  Broken broken;
  broken.architecture.adapters = {{model::Format::kSafetensors, [](const model::ModelConfig&) {
                                     return model::WeightAdapter{.rules = {model::kSameNames},
                                                                 .ignored = {"model.layers.{i}.not*"}};
                                   }}};
  EXPECT_THAT(check_strict_weights(broken.architecture, broken.config),
              testing::ElementsAre(testing::HasSubstr("model.layers.0.not_in_the_model.weight is taken")));
  broken.architecture.adapters = {{model::Format::kSafetensors, [](const model::ModelConfig&) {
                                     return model::WeightAdapter{.rules = {{"model.layers.*", "model.layers.*"}}};
                                   }}};
  EXPECT_THAT(check_save_and_reload(broken.architecture, broken.config),
              testing::ElementsAre(testing::HasSubstr("no rule of weight_adapters.cpp makes it")));
}

TEST(ConformanceFinds, GgufNamesThatAreMissing) {
  Broken broken;
  broken.architecture.adapters.back() = {model::Format::kGguf, [](const model::ModelConfig&) {
                                           return model::WeightAdapter{.rules = {{"blk.*", "model.layers.*"}}};
                                         }};
  EXPECT_THAT(check_gguf_names(broken.architecture, broken.config),
              testing::Contains(testing::HasSubstr("becomes model.norm.weight")));
  broken.architecture.adapters.pop_back();
  EXPECT_THAT(check_gguf_names(broken.architecture, broken.config),
              testing::ElementsAre(testing::HasSubstr("or none")));
}

TEST(ConformanceFinds, AConfigThatIsReadLoosely) {
  static const model::ParseConfig whole = Broken().architecture.parse_config;
  Broken broken;
  broken.architecture.parse_config = [](model::ConfigReader& config) {
    config.accept("nonsense_9000");
    config.string_or("scoring_func", "softmax");
    auto c = whole(config);
    if (config.has("deeper")) ++c->num_hidden_layers;
    config.accept("deeper");
    return c;
  };
  broken.config["scoring_func"] = "softmax";
  EXPECT_THAT(check_unknown_variants(broken.architecture, broken.config),
              testing::UnorderedElementsAre(testing::HasSubstr("config field scoring_func is taken whatever it says"),
                                            testing::HasSubstr("a field that is not read is taken")));
  EXPECT_THAT(check_config_round_trip(broken.architecture, broken.config), testing::IsEmpty());
  broken.config["deeper"] = true;
  EXPECT_THAT(check_config_round_trip(broken.architecture, broken.config),
              testing::ElementsAre(testing::HasSubstr("is another model")));
}

INSTANTIATE_TEST_SUITE_P(Registry, Conformance,
                         testing::Combine(testing::ValuesIn(model::registry()),
                                          testing::ValuesIn(conformance_checks().begin(), conformance_checks().end())),
                         [](const auto& test) {
                           return std::string(std::get<0>(test.param).family) + "_" +
                                  std::string(std::get<1>(test.param).name);
                         });

}  // namespace
}  // namespace tenon::verify
