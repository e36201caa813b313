// Fields that configs of published models state although transformers reads none of them: they are taken where they say
// what the architecture does, and refused where not.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/json.h"
#include "model/registry.h"
#include "verify/conformance/specimen.h"

namespace tenon::verify {
namespace {

Json config_of(const std::string& golden) {
  return read_json_file(TENON_SOURCE_DIR "/tests/golden/" + golden + "/config.json").value();
}

// The error of a golden's config with other fields; "" if it is understood.
std::string error_with(const std::string& golden, const Json& fields) {
  Json config = config_of(golden);
  config.update(fields);
  const auto& name = config["architectures"][0].get_ref<const std::string&>();
  const auto parsed = model::parse_config(*model::find_architecture(name, nullptr)->architecture, config);
  return parsed ? "" : parsed.error().message;
}

// The graph of such a config, or what is wrong with it.
std::string graph_with(const std::string& golden, const Json& fields) {
  Json config = config_of(golden);
  config.update(fields);
  const auto& name = config["architectures"][0].get_ref<const std::string&>();
  const auto specimen = Specimen::build(*model::find_architecture(name, nullptr)->architecture, config);
  return specimen ? graph::to_text((*specimen)->graph) : specimen.error().message;
}

TEST(PublishedFields, Qwen3Coder) {
  const std::string golden = "qwen3_moe/normalized";
  EXPECT_EQ(error_with(golden, {{"use_qk_norm", true}, {"qkv_bias", false}, {"shared_expert_intermediate_size", 0}}),
            "");
  for (const Json& other :
       {Json{{"use_qk_norm", false}}, {{"qkv_bias", true}}, {{"shared_expert_intermediate_size", 64}}}) {
    EXPECT_THAT(error_with(golden, other), testing::HasSubstr(other.begin().key()));
  }
}

TEST(PublishedFields, Phi4Mini) {
  EXPECT_EQ(error_with("phi3/longrope_short", {{"full_attn_mod", 1}, {"interpolate_factor", 1}}), "");
}

// transformers divides by it.
TEST(PublishedFields, ASoftCapOfZero) {
  for (const auto& [golden, field] : {std::pair("gemma2/tied_window", "attn_logit_softcapping"),
                                      {"gemma2/tied_window", "final_logit_softcapping"},
                                      {"gemma3/tied_window", "final_logit_softcapping"}}) {
    EXPECT_THAT(error_with(golden, {{field, 0.0}}), testing::HasSubstr("must be more than 0, or null for none"));
    EXPECT_EQ(error_with(golden, {{field, nullptr}}), "");
    EXPECT_EQ(error_with(golden, {{field, 30.0}}), "");
  }
}

TEST(PublishedFields, CommandR) {
  Json config = config_of("cohere/published");
  config["model_max_length"] = 131072;
  const auto parsed =
      model::parse_config(*model::find_architecture("CohereForCausalLM", nullptr)->architecture, config);
  ASSERT_TRUE(parsed) << parsed.error().message;
  EXPECT_EQ((*parsed)->max_length_limit, 131072);
  EXPECT_EQ((*parsed)->max_position_embeddings, 128);
}

// null is num_attention_heads where the class of transformers takes it; in the others it must be a number.
TEST(PublishedFields, NullOfKeyValueHeads) {
  for (const char* golden : {"llama/mha", "qwen2/gqa", "qwen3/gqa_tied", "smollm3/interval_tied", "granitemoe/tied",
                             "phi3/window_mha", "olmo/mha_clip", "deepseek_v3/halves_direct"}) {
    const Json null = {{"num_key_value_heads", nullptr}, {"num_attention_heads", 4}};
    const Json four = {{"num_key_value_heads", 4}, {"num_attention_heads", 4}};
    EXPECT_EQ(error_with(golden, null), "") << golden;
    EXPECT_EQ(graph_with(golden, null), graph_with(golden, four)) << golden;
  }
  for (const char* golden : {"mistral/window", "mixtral/top2", "gemma2/tied_window", "gpt_oss/float", "lfm2/tied"}) {
    EXPECT_THAT(error_with(golden, {{"num_key_value_heads", nullptr}}),
                testing::AllOf(testing::HasSubstr("config field num_key_value_heads of "),
                               testing::HasSubstr("is null, but must be a number")))
        << golden;
  }
}

// Of these the default is not hidden_size / num_attention_heads, which null means elsewhere: transformers refuses it.
TEST(PublishedFields, NullOfHeadDim) {
  for (const char* golden :
       {"qwen3/gqa_tied", "gemma2/tied_window", "gemma3/tied_window", "gpt_oss/float", "llama4/published"}) {
    EXPECT_THAT(error_with(golden, {{"head_dim", nullptr}}),
                testing::AllOf(testing::HasSubstr("config field head_dim of "),
                               testing::HasSubstr("is null, but must be a number")))
        << golden;
  }
  for (const char* golden : {"llama/mha", "mistral/window", "mixtral/top2", "starcoder2/published"}) {
    Json config = config_of(golden);
    const int size = config["hidden_size"].get<int>() / config["num_attention_heads"].get<int>();
    EXPECT_EQ(graph_with(golden, {{"head_dim", nullptr}}), graph_with(golden, {{"head_dim", size}})) << golden;
  }
}

// Two names that transformers takes for one field.
TEST(PublishedFields, TheOtherNameOfTheExperts) {
  struct Case {
    const char *golden, *field, *alias;
  };
  for (const auto& [golden, field, alias] : {Case{"mixtral/top2", "num_local_experts", "num_experts"},
                                             {"gpt_oss/float", "num_local_experts", "num_experts"},
                                             {"qwen3_moe/normalized", "num_experts", "num_local_experts"},
                                             {"deepseek_v2/groups_biases", "n_routed_experts", "num_experts"},
                                             {"deepseek_v3/groups_yarn", "n_routed_experts", "num_local_experts"}}) {
    // As transformers writes the goldens' own: be it the one or the other.
    Json config = config_of(golden);
    const Json count = config.contains(field) ? config[field] : config[alias];
    EXPECT_EQ(error_with(golden, {{field, nullptr}, {alias, count}}), "") << golden;
    EXPECT_EQ(graph_with(golden, {{field, nullptr}, {alias, count}}), graph_with(golden, Json::object())) << golden;
    EXPECT_EQ(error_with(golden, {{field, count}, {alias, count}}), "") << golden;
    EXPECT_THAT(error_with(golden, {{field, count}, {alias, 2 * count.get<int>()}}),
                testing::AllOf(testing::HasSubstr(std::string("config field ") + field + " of "),
                               testing::HasSubstr(std::string(", but ") + alias + ", another name of it, is "),
                               testing::HasSubstr("keep one of them")))
        << golden;
  }
  EXPECT_THAT(error_with("granitemoe/tied", {{"num_experts", 4}}), testing::HasSubstr("does not read it"));
}

// transformers takes an empty rope_scaling as none, and empty rope_parameters as a rope that is not scaled.
TEST(PublishedFields, AnEmptyRope) {
  const std::string golden = "gpt_oss/float";
  const Json absent = {{"rope_parameters", nullptr}};
  const Json unscaled = {{"rope_parameters", {{"rope_type", "default"}, {"rope_theta", 150000.0}}}};
  Json empty = {{"rope_parameters", nullptr}, {"rope_scaling", Json::object()}};
  EXPECT_EQ(graph_with(golden, empty), graph_with(golden, absent));
  EXPECT_NE(graph_with(golden, absent), graph_with(golden, unscaled));
  EXPECT_EQ(graph_with(golden, {{"rope_parameters", Json::object()}}), graph_with(golden, unscaled));
  EXPECT_EQ(error_with("llama/rope_llama3", {{"rope_scaling", Json::object()}}), "");
}

}  // namespace
}  // namespace tenon::verify
