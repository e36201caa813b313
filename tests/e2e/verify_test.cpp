// `tenon verify`: its verdict, exit status and words, on the checkpoints of tests/golden.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <fstream>
#include <limits>

#include "base/file.h"
#include "base/json.h"
#include "server_process.h"

namespace tenon::e2e {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;
namespace fs = std::filesystem;

const fs::path kSource = fs::path(TENON_DATA_DIR) / ".." / "..";
const fs::path kModel = kSource / "tests" / "golden" / "llama" / "mha";

Finished verify(const fs::path& model, const fs::path& reference, const std::vector<std::string>& more = {},
                int seconds = 60) {
  std::vector<std::string> arguments = {"verify", model.string(), "--reference", reference.string(), "--threads", "1"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return run(arguments, seconds);
}

const std::vector<std::string> kFloat32 = {"--quantization-encoding", "float32"};

TEST(Verify, AModelThatAgrees) {
  const Finished end = verify(kModel, kModel / "reference.safetensors", kFloat32);
  EXPECT_EQ(end.status, 0) << end.err;
  EXPECT_THAT(end.out, AllOf(HasSubstr("AGREES"), HasSubstr("model.layers.1.mlp"), Not(HasSubstr("likely cause"))));
}

TEST(Verify, AModelThatDivergesNamesTheLayerAndTheCause) {
  TempDir dir;
  fs::copy(kModel, dir.path(), fs::copy_options::overwrite_existing | fs::copy_options::recursive);
  Json config = *read_json_file((kModel / "config.json").string());
  config["rope_parameters"]["rope_theta"] = 500000.0;
  std::ofstream(dir.path() / "config.json") << config.dump();
  const Finished text = verify(dir.path(), kModel / "reference.safetensors", kFloat32);
  EXPECT_EQ(text.status, 1);
  EXPECT_THAT(text.out, AllOf(HasSubstr("DIVERGES"), HasSubstr("first diverging: model.layers.0.self_attn"),
                              HasSubstr("likely cause: rope theta")));
  auto arguments = kFloat32;
  arguments.emplace_back("--json");
  const Finished machine = verify(dir.path(), kModel / "reference.safetensors", arguments);
  EXPECT_EQ(machine.status, 1);
  const auto report = parse_json(machine.out, "the report");
  ASSERT_TRUE(report) << machine.out;
  EXPECT_EQ(report->at("agrees"), false);
  EXPECT_GT(report->at("kl_mean").get<double>(), 1e-3);
}

TEST(Verify, WhatIsNoReferenceIsOneSentence) {
  TempDir dir;
  const auto bytes = read_file((kModel / "reference.safetensors").string());
  ASSERT_TRUE(bytes);
  std::ofstream(dir.path() / "cut.safetensors", std::ios::binary) << bytes->substr(0, 3000);
  for (const auto& [reference, words] : {std::pair(dir.path() / "cut.safetensors", "truncated"),
                                         std::pair(kModel / "model.safetensors", "is no reference dump"),
                                         std::pair(dir.path() / "none.safetensors", "none.safetensors")}) {
    const Finished end = verify(kModel, reference);
    EXPECT_EQ(end.status, 1) << words;
    EXPECT_EQ(end.out, "");
    EXPECT_THAT(end.err, AllOf(HasSubstr(words), HasSubstr("tools/make_reference.py"), Not(HasSubstr("download"))));
  }
}

// Not finite is unequal to everything: it is the reference that is to blame, not the model.
TEST(Verify, ADumpOfARunThatWentWrong) {
  TempDir dir;
  const std::string bytes = read_file((kModel / "reference.safetensors").string()).value();
  std::uint64_t length = 0;
  std::memcpy(&length, bytes.data(), sizeof length);
  const Json header = *parse_json(bytes.substr(sizeof length, length), "the header");
  for (const std::string name : {"prompt.0.logits", "tap.model.layers.1.mlp"}) {
    for (const float wrong : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
      std::string changed = bytes;
      const auto at = header.at(name).at("data_offsets").at(0).get<std::size_t>() + 4 * 7;
      std::memcpy(changed.data() + sizeof length + length + at, &wrong, sizeof wrong);
      std::ofstream(dir.path() / "wrong.safetensors", std::ios::binary) << changed;
      const Finished end = verify(kModel, dir.path() / "wrong.safetensors", kFloat32);
      EXPECT_EQ(end.status, 1);
      EXPECT_EQ(end.out, "");
      EXPECT_THAT(end.err, HasSubstr("wrong.safetensors has NaN or infinite values in " + name));
    }
  }
}

// A dump with other metadata in its header, and with `vocab` logits of one token in place of its own if that is not 0.
fs::path relabelled(const fs::path& dump, const fs::path& directory, const Json& metadata, int vocab = 0) {
  const std::string bytes = read_file(dump.string()).value();
  std::uint64_t length = 0;
  std::memcpy(&length, bytes.data(), sizeof length);
  Json header = *parse_json(bytes.substr(sizeof length, length), "the header");
  std::string data = bytes.substr(sizeof length + length);
  if (vocab != 0) {
    header = Json::object();
    header["prompt.0.ids"] = {{"dtype", "I32"}, {"shape", {1}}, {"data_offsets", {0, 4}}};
    header["prompt.0.logits"] = {{"dtype", "F32"}, {"shape", {1, vocab}}, {"data_offsets", {4, 4 + 4 * vocab}}};
    data = std::string(static_cast<std::size_t>(4 + 4 * vocab), '\0');
  }
  header["__metadata__"] = metadata;
  const std::string text = header.dump();
  length = text.size();
  const fs::path path = directory / "relabelled.safetensors";
  std::ofstream file(path, std::ios::binary);
  file.write(reinterpret_cast<const char*>(&length), sizeof length);
  file << text << data;
  return path;
}

TEST(Verify, ADumpOfAnotherModel) {
  TempDir dir;
  const fs::path dump = kModel / "reference.safetensors";
  const auto refusal = [&](const Json& metadata, int vocab = 0) {
    const Finished end = verify(kModel, relabelled(dump, dir.path(), metadata, vocab), kFloat32);
    EXPECT_EQ(end.status, 1) << metadata.dump();
    EXPECT_EQ(end.out, "");
    EXPECT_THAT(end.err, HasSubstr("is of another model: "));
    return end.err;
  };
  EXPECT_THAT(refusal({{"architecture", "MistralForCausalLM"}}),
              HasSubstr("it was made of a MistralForCausalLM, and this is a LlamaForCausalLM"));
  EXPECT_THAT(refusal({{"config", R"({"hidden_size": 64})"}}), HasSubstr("hidden_size is 64 there and 32 here"));
  EXPECT_THAT(refusal(Json::object(), 5), HasSubstr("its logits are of a vocabulary of 5, this model's of 96"));
  // Another family's dump of the same vocabulary, which does not say what it is of: it cannot agree.
  const fs::path other = kSource / "tests" / "golden" / "gemma3" / "tied_window" / "reference.safetensors";
  const Finished diverges = verify(kModel, other, kFloat32);
  EXPECT_EQ(diverges.status, 1);
  EXPECT_THAT(diverges.out, HasSubstr("are these the weights that the dump was made with?"));
}

// One architecture runs two classes, so that the dump may name either.
TEST(Verify, ADumpOfAnotherClassOfTheSameArchitecture) {
  TempDir dir;
  const fs::path model = kSource / "tests" / "golden" / "llama4" / "chunks_top1";
  const fs::path dump =
      relabelled(model / "reference.safetensors", dir.path(), {{"architecture", "Llama4ForConditionalGeneration"}});
  const Finished end = verify(model, dump, kFloat32);
  EXPECT_EQ(end.status, 0) << end.err << end.out;
  EXPECT_THAT(end.out, HasSubstr("AGREES"));
}

// A GGUF file may hold another class under its name: Mistral's are Llama's.
TEST(Verify, AGgufFileOfAClassThatItDoesNotName) {
  TempDir dir;
  const fs::path model = kSource / "tests" / "golden" / "mistral" / "full_head_dim";
  const fs::path dump =
      relabelled(model / "reference.safetensors", dir.path(), {{"architecture", "MistralForCausalLM"}});
  const Finished end = verify(model / "model.gguf", dump, kFloat32);
  EXPECT_EQ(end.status, 0) << end.err << end.out;
  EXPECT_THAT(end.out, AllOf(HasSubstr("AGREES"), HasSubstr("note: the dump was made of a MistralForCausalLM")));
}

TEST(Verify, ADumpWithAGap) {
  TempDir dir;
  std::string bytes = read_file((kModel / "reference.safetensors").string()).value();
  const std::string name = "prompt.1.logits";
  bytes.replace(bytes.find(name), name.size(), "absent.1.logits");
  std::ofstream(dir.path() / "gap.safetensors", std::ios::binary) << bytes;
  const Finished end = verify(kModel, dir.path() / "gap.safetensors", kFloat32);
  EXPECT_EQ(end.status, 1);
  EXPECT_THAT(end.err, HasSubstr(" stands alone: prompts are numbered from 0, each with .ids and .logits"));
}

// transformers chooses the factors by the prompt, Tenon by the context: that of the dump.
TEST(Verify, LongRopeHasTheContextOfTheDump) {
  TempDir dir;
  const fs::path& model = dir.path();
  fs::copy(kSource / "tests" / "golden" / "phi3" / "longrope_short", model,
           fs::copy_options::overwrite_existing | fs::copy_options::recursive);
  Json config = *read_json_file((model / "config.json").string());
  config["max_position_embeddings"] = 512;
  std::ofstream(model / "config.json") << config.dump();
  const Finished end = verify(model, model / "reference.safetensors", kFloat32);
  EXPECT_EQ(end.status, 0) << end.err << end.out;
  auto arguments = kFloat32;
  arguments.insert(arguments.end(), {"--max-length", "512"});
  EXPECT_EQ(verify(model, model / "reference.safetensors", arguments).status, 1);
  const Finished inspected = run({"inspect", model.string()});
  EXPECT_THAT(inspected.out, HasSubstr(" tokens takes long_factor for every prompt"));
}

TEST(Verify, AnArchitectureOutOfTheTree) {
  const fs::path example = kSource / "examples" / "custom_architecture" / "glm4";
  TempDir cache;
  setenv("XDG_CACHE_HOME", cache.path().c_str(), 1);
  auto arguments = kFloat32;
  arguments.insert(arguments.end(), {"--custom-architectures", example.string()});
  const Finished end = verify(example / "tiny", example / "tiny" / "reference.safetensors", arguments, 300);
  EXPECT_EQ(end.status, 0) << end.err;
  EXPECT_THAT(end.out, HasSubstr("Glm4ForCausalLM"));
}

}  // namespace
}  // namespace tenon::e2e
