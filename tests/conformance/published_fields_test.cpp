// Fields that configs of published models state although transformers reads none of them: they are taken where they say
// what the architecture does, and refused where not.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/json.h"
#include "model/registry.h"

namespace tenon::verify {
namespace {

// The error of a golden's config with other fields; "" if it is understood.
std::string error_with(const std::string& golden, const Json& fields) {
  Json config = read_json_file(TENON_SOURCE_DIR "/tests/golden/" + golden + "/config.json").value();
  config.update(fields);
  const auto& name = config["architectures"][0].get_ref<const std::string&>();
  const auto parsed = model::parse_config(*model::find_architecture(name, nullptr)->architecture, config);
  return parsed ? "" : parsed.error().message;
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

}  // namespace
}  // namespace tenon::verify
