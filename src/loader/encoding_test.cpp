#include "loader/encoding.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/json.h"
#include "model/registry.h"

namespace tenon::loader {
namespace {

using tensor::DType;

// Metadata alone: tensors are found by the map of weights.
class Metadata final : public weights::Checkpoint {
 public:
  explicit Metadata(int file_type) : metadata_({{"general.file_type", file_type}}) {}
  weights::Format format() const override { return weights::Format::kGguf; }
  const std::vector<std::string>& names() const override { return names_; }
  const tensor::TensorView* find(const std::string&) const override { return nullptr; }
  std::string file_of(const std::string&) const override { return "fake.gguf"; }
  void release(const std::string&) const override {}
  const Json& metadata() const override { return metadata_; }

 private:
  Json metadata_;
  std::vector<std::string> names_;
};

// Three matrices of q4_1 and one of q8_0, as llama.cpp quantizes the output of some models.
Result<EncodingChoice> choose(const std::string& wish, int file_type) {
  static const tensor::TensorView q4{DType::kQ4_1, {64, 64}, nullptr}, q8{DType::kQ8_0, {64, 64}, nullptr};
  model::WeightMap map;
  for (const char* name : {"a", "b", "c", "output"}) {
    model::WeightBinding binding;
    binding.tensor = name == std::string("output") ? &q8 : &q4;
    binding.uses = {graph::WeightUse::kMatmul};
    map.bindings[name] = binding;
  }
  return choose_encoding(wish, *model::find_architecture("LlamaForCausalLM", nullptr)->architecture, map,
                         Metadata(file_type));
}

TEST(Encoding, AWishIsWhatTheFileIs) {
  constexpr int kQ4_1 = 3, kUnknown = 999;
  EXPECT_EQ(choose("", kQ4_1)->name, "q4_1");
  EXPECT_EQ(choose("Q4_1", kQ4_1)->name, "q4_1");
  EXPECT_EQ(choose("q4_1", kUnknown)->name, "q4_1") << "what most of it is";
  EXPECT_TRUE(choose("float32", kQ4_1)->dequantize);
  for (const int file_type : {kQ4_1, kUnknown}) {
    const auto other = choose("q8_0", file_type);
    ASSERT_FALSE(other) << "one tensor of it does not make the file so";
    EXPECT_THAT(other.error().message, testing::HasSubstr("choose one of bfloat16, float32, q4_1"));
  }
}

}  // namespace
}  // namespace tenon::loader
