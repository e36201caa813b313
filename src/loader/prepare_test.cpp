#include "loader/prepare.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "base/file.h"
#include "graph/interpreter.h"
#include "loader/source.h"
#include "loader/test_data.h"

namespace tenon::loader {
namespace {

namespace fs = std::filesystem;
using test::options_for;
using test::TempDir;
using testing::ElementsAre;
using testing::HasSubstr;

fs::path goldens() { return test::source_dir() / "tests" / "golden"; }

std::string error_of(const std::string& model, bool strict = true) {
  const auto prepared = prepare(options_for(model), strict);
  return prepared ? "(no error)" : prepared.error().message;
}

constexpr const char* kTinyConfig = R"({"architectures": ["LlamaForCausalLM"], "vocab_size": 32, "hidden_size": 16,
  "intermediate_size": 24, "num_hidden_layers": 1, "num_attention_heads": 2, "max_position_embeddings": 64})";

TEST(Source, SaysWhatIsWrong) {
  EXPECT_THAT(find_model("", "main").error().message, HasSubstr("no model is given"));
  EXPECT_THAT(find_model("no/such/place/at/all", "main").error().message,
              HasSubstr("there is no file or directory no/such/place/at/all"));
  EXPECT_THAT(find_model("some/nothing.gguf", "main").error().message, HasSubstr("there is no file or directory"));
  const TempDir dir;
  EXPECT_THAT(find_model(dir.path(), "main").error().message, HasSubstr("neither a config.json nor a .gguf file"));
  dir.write("a.gguf", "");
  EXPECT_EQ(find_model(dir.path(), "main")->gguf, dir.path() + "/a.gguf");
  dir.write("b.gguf", "");
  EXPECT_THAT(find_model(dir.path(), "main").error().message, HasSubstr("several GGUF files (a.gguf, b.gguf)"));
  dir.write("config.json", "{}");
  EXPECT_THAT(
      find_model(dir.path(), "main").error().message,
      HasSubstr("has a config.json, but no SafeTensors: give a GGUF file itself, as in " + dir.path() + "/a.gguf"));
  dir.write("model.safetensors", "");
  EXPECT_EQ(find_model(dir.path(), "main")->directory, dir.path());
  EXPECT_THAT(find_model(dir.path(), "v2").error().message, HasSubstr("of which there is no revision v2"));
  EXPECT_THAT(find_model(dir.path() + "/model.safetensors", "main").error().message, HasSubstr("is no .gguf file"));
}

TEST(Prepare, BrokenDirectories) {
  const TempDir dir;
  dir.write("config.json", "{");
  EXPECT_THAT(error_of(dir.path()), HasSubstr("config.json"));
  dir.write("config.json", "[]");
  EXPECT_THAT(error_of(dir.path()), HasSubstr("not a JSON object"));
  dir.write("config.json", "{}");
  EXPECT_THAT(error_of(dir.path()), HasSubstr("does not say \"architectures\""));
  dir.write("config.json", R"({"architectures": ["NopeForCausalLM"]})");
  EXPECT_THAT(error_of(dir.path()), HasSubstr("architecture NopeForCausalLM is not known"));
  dir.write("config.json", kTinyConfig);
  EXPECT_THAT(error_of(dir.path()), HasSubstr("safetensors"));
  // inspect() does without weights.
  const auto prepared = prepare(options_for(dir.path()), false);
  ASSERT_TRUE(prepared) << prepared.error().message;
  EXPECT_EQ(prepared->checkpoint, nullptr);
  EXPECT_EQ(prepared->graph->weights().size(), 12u);
}

TEST(Prepare, ContextAndKvDtype) {
  const TempDir dir;
  dir.write("config.json", kTinyConfig);
  LoadOptions options = options_for(dir.path());
  EXPECT_EQ(prepare(options, false)->max_length, 64);
  options.max_length = 63;
  EXPECT_EQ(prepare(options, false)->compile_options(options).limits.max_pages_per_row, 1);
  options.max_length = 65;
  EXPECT_THAT(prepare(options, false).error().message, HasSubstr("allows 1 to 64"));
  options.max_length = 0;
  options.kv_cache_dtype = "fp8";
  EXPECT_THAT(prepare(options, false).error().message, HasSubstr("KV cache dtype fp8 is not known"));
}

TEST(Prepare, ExpandsPatterns) {
  const auto expanded = expand_tensors(Json::parse(R"({"storage_dtype": "BF16", "tensors": [
    {"name": "a.{i}.e.{e}", "shape": [2], "range": {"i": [0, 1], "e": [3, 4]}}, {"name": "b", "shape": [], "dtype": "U8"}]})"));
  ASSERT_TRUE(expanded) << expanded.error().message;
  std::vector<std::string> names;
  for (const auto& [name, value] : expanded->items()) names.push_back(name);
  EXPECT_THAT(names, ElementsAre("a.0.e.3", "a.0.e.4", "a.1.e.3", "a.1.e.4", "b"));
  EXPECT_EQ((*expanded)["b"]["dtype"], "U8");
  EXPECT_EQ((*expanded)["a.0.e.3"]["dtype"], "BF16");
  EXPECT_FALSE(expand_tensors(Json::parse(R"({"tensors": [{"shape": [1]}]})")));
  for (const char* range : {"[9223372036854775807, 9223372036854775807]", "[-1, 0]", "[2, 1]", "[0, 1048576]"}) {
    const std::string text =
        R"({"tensors": [{"name": "{i}", "shape": [1], "range": {"i": )" + std::string(range) + "}}]}";
    EXPECT_FALSE(expand_tensors(Json::parse(text))) << range;
  }
  EXPECT_FALSE(
      expand_tensors(Json::parse(R"({"tensors": [{"name": "{i}", "shape": [1], "range": {"i": [0, 99999999]}}]})")));
}

// Runs a prepared model on one prompt by the interpreter; all logits.
graph::Interpreter::Results interpret(PreparedModel& prepared, const std::vector<std::int32_t>& ids) {
  CheckpointWeights weights(prepared.checkpoint, prepared.weights);
  graph::Interpreter interpreter(
      *prepared.graph, [&](const std::string& name) { return graph::to_floats(weights.weight(name).value()); });
  std::vector<std::int32_t> positions(ids.size()), pages;
  for (std::size_t i = 0; i < ids.size(); ++i) positions[i] = static_cast<std::int32_t>(i);
  const std::int32_t offsets[] = {0, static_cast<std::int32_t>(ids.size())};
  for (std::size_t i = 0; i * tensor::kPageTokens < ids.size(); ++i) pages.push_back(static_cast<std::int32_t>(i));
  return interpreter.run(graph::batch_inputs({.token_ids = ids,
                                              .positions = positions,
                                              .row_offsets = offsets,
                                              .page_table = pages,
                                              .max_pages = static_cast<int>(pages.size()),
                                              .logit_rows = positions}));
}

double max_difference(const std::vector<float>& got, const tensor::TensorView& want) {
  const auto n = static_cast<std::size_t>(tensor::elements(want.shape));
  if (got.size() != n) return INFINITY;
  std::vector<float> values(n);
  tensor::to_float(want.dtype, want.data, static_cast<std::int64_t>(n), values.data());
  double worst = 0;
  for (std::size_t i = 0; i < n; ++i) worst = std::max(worst, std::abs(static_cast<double>(got[i]) - values[i]));
  return worst;
}

// The architectures' equations, by the scalar references, against transformers in float32: every tap and all logits.
TEST(Prepare, EquationsAgreeWithTheGoldens) {
  if (!fs::exists(goldens())) GTEST_SKIP() << "skipped: " << goldens() << " is not there";
  int cases = 0;
  for (const fs::directory_entry& family : fs::directory_iterator(goldens())) {
    if (!family.is_directory()) continue;
    for (const fs::directory_entry& entry : fs::directory_iterator(family)) {
      const fs::path reference_path = entry.path() / "reference.safetensors";
      if (!fs::exists(reference_path)) continue;
      SCOPED_TRACE(entry.path().string());
      auto prepared = prepare(options_for(entry.path()), true);
      ASSERT_TRUE(prepared) << prepared.error().message;
      const auto reference = weights::open_safetensors(reference_path.string());
      ASSERT_TRUE(reference) << reference.error().message;
      const tensor::TensorView* ids = (*reference)->find("prompt.0.ids");
      ASSERT_NE(ids, nullptr);
      const auto* begin = reinterpret_cast<const std::int32_t*>(ids->data);
      const auto results = interpret(*prepared, {begin, begin + ids->shape[0]});
      int taps = 0;
      for (const std::string& name : (*reference)->names()) {
        if (!name.starts_with("tap.")) continue;
        const auto tap = results.taps.find(name.substr(4));
        ASSERT_NE(tap, results.taps.end()) << name;
        EXPECT_LT(max_difference(tap->second.f32, *(*reference)->find(name)), 1e-4) << name;
        ++taps;
      }
      // Embeddings, the last norm, and of each layer two parts and the whole.
      const Json config = read_json_file((entry.path() / "config.json").string()).value();
      EXPECT_GE(taps, 2 + 3 * config["num_hidden_layers"].get<int>());
      EXPECT_LT(max_difference(results.outputs.at("logits").f32, *(*reference)->find("prompt.0.logits")), 1e-4);
      ++cases;
    }
  }
  EXPECT_GT(cases, 0);
}

// Whatever weight the graphs of the goldens ask for has a name in GGUF files, where the family has any.
TEST(Prepare, GgufNamesReachEveryWeight) {
  if (!fs::exists(goldens())) GTEST_SKIP() << "skipped: " << goldens() << " is not there";
  int weights = 0;
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(goldens())) {
    if (!fs::exists(entry.path() / "model.safetensors")) continue;  // 1_Pooling has a config.json too
    SCOPED_TRACE(entry.path().string());
    const auto prepared = prepare(options_for(entry.path()), false);
    ASSERT_TRUE(prepared) << prepared.error().message;
    const auto adapter = model::adapter_of(*prepared->entry.architecture, model::Format::kGguf, *prepared->config);
    if (!adapter) continue;
    // llama.cpp's qwen3moe has experts in every layer; a mixed model has no GGUF form.
    if (entry.path().lexically_normal().string().ends_with("qwen3_moe/mixed_tied")) continue;
    for (const auto& request : prepared->graph->weights()) {
      const auto reaches = [&](const model::WeightRule& rule) {
        return model::match(rule.ours, request.name).has_value();
      };
      // Once; DeepSeek's kv_b_proj is whole in older files, and in two parts.
      const bool latent = request.name.find("_b_proj.") != std::string::npos && request.type.dims.size() == 3;
      EXPECT_EQ(std::ranges::count_if(adapter->rules, reaches), latent ? 2 : 1) << request.name;
      ++weights;
    }
  }
  EXPECT_GT(weights, 0);
}

// The same model as SafeTensors and as GGUF, whose q and k rows are permuted.
TEST(Prepare, GgufAndSafetensorsOfOneModelAgree) {
  const fs::path folder = test::shared_dir() / "hf_configs" / "karpathy--tinyllamas-stories260K";
  if (!fs::exists(folder / "stories260K.gguf")) GTEST_SKIP() << "skipped: " << folder << " is not there";
  auto gguf = prepare(options_for(folder / "stories260K.gguf"), true);
  ASSERT_TRUE(gguf) << gguf.error().message;
  auto safetensors = prepare(options_for(folder), true);
  ASSERT_TRUE(safetensors) << safetensors.error().message;
  EXPECT_EQ(gguf->encoding.name, "bfloat16");
  EXPECT_EQ(gguf->max_length, safetensors->max_length);
  EXPECT_EQ(gguf->text.special_tokens["bos_token"], "<s>");
  EXPECT_EQ(gguf->text.add_bos_token, true);
  EXPECT_THAT(gguf->text.eos_token_ids, ElementsAre(2));
  CheckpointWeights a(gguf->checkpoint, gguf->weights), b(safetensors->checkpoint, safetensors->weights);
  ASSERT_EQ(gguf->weights.bindings.size(), safetensors->weights.bindings.size());
  for (const auto& [name, binding] : gguf->weights.bindings) {
    EXPECT_EQ(graph::to_floats(a.weight(name).value()), graph::to_floats(b.weight(name).value())) << name;
  }

  // And it tells its story: the first greedy tokens.
  const Json golden = read_json_file((folder / "golden.json").string()).value();
  const auto ids = golden["greedy_ids_from_bos"].get<std::vector<std::int32_t>>();
  const std::vector<std::int32_t> prompt(ids.begin(), ids.begin() + 24);
  const std::vector<float> logits = interpret(*gguf, prompt).outputs.at("logits").f32;
  for (std::size_t i = 0; i < prompt.size(); ++i) {
    const auto row = logits.begin() + static_cast<std::ptrdiff_t>(i * 512);
    EXPECT_EQ(std::max_element(row, row + 512) - row, ids[i + 1]) << i;
  }
}

TEST(List, NamesTheFamilies) {
  const Json rows = list_architectures();
  ASSERT_EQ(rows.size(), model::registry().size());
  EXPECT_EQ(rows[0]["name"], "LlamaForCausalLM");
  EXPECT_EQ(rows[2]["family"], "gemma3");
  EXPECT_EQ(rows[0]["encodings"][1], "bfloat16");
}

}  // namespace
}  // namespace tenon::loader
