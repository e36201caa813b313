#include "model/registry.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <set>

#include "base/json.h"

namespace tenon::model {
namespace {

using testing::AllOf;
using testing::HasSubstr;

// Lives as long as the process, as register_architecture asks: built-in classes that it overrides are those that no
// other test here looks up.
const Architecture& plugin(std::string_view name, std::vector<std::string_view> also) {
  static const Architecture like = *find_architecture("LlamaForCausalLM", nullptr)->architecture;
  auto* architecture = new Architecture(like);  // NOLINT: never freed
  architecture->name = name;
  architecture->also = std::move(also);
  return *architecture;
}

std::string origin_of(std::string_view name) {
  const auto found = find_architecture(name, nullptr);
  return !found ? found.error().message : found->origin.empty() ? std::string(found->family) : found->origin;
}

TEST(Registry, NoClassIsRunByTwoFamilies) {
  std::set<std::string_view> classes;
  for (const RegistryEntry& entry : registry()) {
    EXPECT_TRUE(classes.insert(entry.architecture->name).second) << entry.architecture->name;
    for (const std::string_view name : entry.architecture->also) EXPECT_TRUE(classes.insert(name).second) << name;
  }
}

TEST(Registry, AClassOfAlsoIsFoundAndAPlugInGoesFirst) {
  EXPECT_EQ(origin_of("Llama4ForConditionalGeneration"), "llama4");
  EXPECT_EQ(origin_of("Llama4ForCausalLM"), "llama4");
  ASSERT_TRUE(register_architecture({"mine", &plugin("MineForCausalLM", {"Llama4ForConditionalGeneration"}), "/mine"}));
  EXPECT_EQ(origin_of("Llama4ForConditionalGeneration"), "/mine");
  EXPECT_EQ(origin_of("MineForCausalLM"), "/mine");
  EXPECT_EQ(origin_of("Llama4ForCausalLM"), "llama4");
  // What is built in under the very name does not hide the plug-in that runs this class too.
  ASSERT_TRUE(register_architecture({"yours", &plugin("YoursForCausalLM", {"MPNetForMaskedLM"}), "/yours"}));
  EXPECT_EQ(origin_of("MPNetForMaskedLM"), "/yours");
}

TEST(Registry, TwoPlugInsForOneClassAreRefused) {
  ASSERT_TRUE(register_architecture({"first", &plugin("FirstForCausalLM", {"FirstForVision"}), "/first"}));
  const auto refusal = [](std::string_view name, std::vector<std::string_view> also) {
    const Status status = register_architecture({"second", &plugin(name, std::move(also)), "/second"});
    return status ? "(registered)" : status.error().message;
  };
  const auto names = [](const char* both) {
    return AllOf(HasSubstr("/first"), HasSubstr("/second"), HasSubstr(std::string("both for ") + both + ":"));
  };
  EXPECT_THAT(refusal("FirstForCausalLM", {}), names("FirstForCausalLM"));
  EXPECT_THAT(refusal("FirstForVision", {}), names("FirstForVision"));
  EXPECT_THAT(refusal("SecondForCausalLM", {"FirstForCausalLM"}), names("FirstForCausalLM"));
  EXPECT_THAT(refusal("SecondForCausalLM", {"OtherForVision", "FirstForVision"}), names("FirstForVision"));
  EXPECT_THAT(origin_of("SecondForCausalLM"), HasSubstr("is not known"));
  EXPECT_EQ(refusal("SecondForCausalLM", {"SecondForVision"}), "(registered)");
}

}  // namespace
}  // namespace tenon::model
