// Where a config.json does not state a field, each architecture takes what transformers takes
// (config_defaults.json, by tools/make_config_defaults.py).
#include <gtest/gtest.h>

#include "base/json.h"
#include "model/registry.h"

namespace tenon::verify {
namespace {

// Ours -> transformers'; a flat rope_theta is what transformers 4 wrote.
std::string their_name(const std::string& name) {
  if (name == "rope_theta") return "rope_parameters.rope_theta";
  if (name == "num_experts") return "num_local_experts";
  return name;
}

class ConfigDefaults : public testing::TestWithParam<std::string> {};

TEST_P(ConfigDefaults, AreThoseOfTransformers) {
  const Json all = read_json_file(TENON_SOURCE_DIR "/tests/conformance/config_defaults.json").value();
  const Json& defaults = all.at(GetParam()).at("defaults");
  Json config = all.at(GetParam()).at("given");
  config["architectures"] = {GetParam()};
  const model::Architecture& architecture = *model::find_architecture(GetParam(), nullptr)->architecture;
  auto parsed = model::parse_config(architecture, config);
  // A field that Tenon wants to be stated has no default; it is stated as transformers has it.
  for (const auto& [name, value] : defaults.items()) {
    if (parsed) break;
    if (parsed.error().message.find("config field " + name + " ") == std::string::npos) continue;
    config[name] = value;
    parsed = model::parse_config(architecture, config);
  }
  ASSERT_TRUE(parsed) << parsed.error().message;
  int compared = 0;
  for (const model::ConfigField& field : (*parsed)->fields) {
    if (!field.defaulted) continue;
    const auto theirs = defaults.find(their_name(field.name));
    if (theirs == defaults.end()) continue;  // derived from other fields, or only Tenon's
    EXPECT_EQ(*field.value, *theirs) << field.name;
    ++compared;
  }
  EXPECT_GE(compared, 3);
}

std::vector<std::string> classes() {
  std::vector<std::string> names;
  const Json all = read_json_file(TENON_SOURCE_DIR "/tests/conformance/config_defaults.json").value();
  for (const auto& [name, value] : all.items()) {
    names.push_back(name);
  }
  return names;
}

INSTANTIATE_TEST_SUITE_P(Transformers, ConfigDefaults, testing::ValuesIn(classes()),
                         [](const auto& test) { return test.param; });

}  // namespace
}  // namespace tenon::verify
