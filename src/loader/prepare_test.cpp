#include "loader/prepare.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>
#include <tuple>

#include "base/file.h"
#include "graph/interpreter.h"
#include "loader/source.h"

namespace tenon::loader {
namespace {

namespace fs = std::filesystem;
using testing::ElementsAre;
using testing::HasSubstr;

fs::path shared() {
  if (const char* given = std::getenv("TENON_SHARED_DIR")) return given;
  const char* source = std::getenv("TENON_SOURCE_DIR");
  return fs::path(source == nullptr ? "." : source) / ".." / "shared";
}

fs::path goldens() {
  const char* source = std::getenv("TENON_SOURCE_DIR");
  return fs::path(source == nullptr ? "." : source) / "tests" / "golden";
}

class TempDir {
 public:
  TempDir()
      : path_(fs::temp_directory_path() /
              ("tenon_loader_" + std::to_string(::getpid()) + "_" + std::to_string(next_++))) {
    fs::create_directories(path_);
  }
  ~TempDir() { fs::remove_all(path_); }
  void write(const std::string& name, const std::string& text) const { std::ofstream(path_ / name) << text; }
  std::string path() const { return path_.string(); }

 private:
  inline static int next_ = 0;
  fs::path path_;
};

LoadOptions options_for(const fs::path& model) {
  LoadOptions options;
  options.model = model.string();
  return options;
}

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
  EXPECT_EQ(find_model(dir.path(), "main")->directory, dir.path());
  dir.write("model.safetensors", "");
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
  EXPECT_FALSE(
      expand_tensors(Json::parse(R"({"tensors": [{"name": "{i}", "shape": [1], "range": {"i": [0, 99999999]}}]})")));
}

/// tensors.json of a DeepSeek checkpoint in bfloat16, with two tensors of a layer that drafts further tokens.
Json deepseek_tensors(const Json& config) {
  const auto size = [&](const char* field) { return config[field].get<std::int64_t>(); };
  const std::int64_t hidden = size("hidden_size"), heads = size("num_attention_heads"), latent = size("kv_lora_rank");
  const std::int64_t nope = size("qk_nope_head_dim"), rotated = size("qk_rope_head_dim"), value = size("v_head_dim");
  const std::int64_t layers = size("num_hidden_layers"), dense = size("first_k_dense_replace");
  const std::int64_t experts = size("n_routed_experts"), expert = size("moe_intermediate_size");
  Json tensors = Json::array();
  const auto add = [&](const std::string& name, std::vector<std::int64_t> shape, std::int64_t first, std::int64_t end) {
    Json range = Json::object();
    if (name.find("{i}") != std::string::npos) range["i"] = {first, end - 1};
    if (name.find("{e}") != std::string::npos) range["e"] = {0, experts - 1};
    tensors.push_back({{"name", name + ".weight"}, {"shape", shape}, {"range", range}});
  };
  const auto mlp = [&](const std::string& name, std::int64_t n, std::int64_t first, std::int64_t end) {
    add(name + "gate_proj", {n, hidden}, first, end);
    add(name + "up_proj", {n, hidden}, first, end);
    add(name + "down_proj", {hidden, n}, first, end);
  };
  const std::string layer = "model.layers.{i}.", attention = layer + "self_attn.";
  add("model.embed_tokens", {size("vocab_size"), hidden}, 0, 1);
  add("model.norm", {hidden}, 0, 1);
  add("lm_head", {size("vocab_size"), hidden}, 0, 1);
  add(layer + "input_layernorm", {hidden}, 0, layers);
  add(layer + "post_attention_layernorm", {hidden}, 0, layers);
  if (config["q_lora_rank"].is_null()) {
    add(attention + "q_proj", {heads * (nope + rotated), hidden}, 0, layers);
  } else {
    add(attention + "q_a_proj", {size("q_lora_rank"), hidden}, 0, layers);
    add(attention + "q_a_layernorm", {size("q_lora_rank")}, 0, layers);
    add(attention + "q_b_proj", {heads * (nope + rotated), size("q_lora_rank")}, 0, layers);
  }
  add(attention + "kv_a_proj_with_mqa", {latent + rotated, hidden}, 0, layers);
  add(attention + "kv_a_layernorm", {latent}, 0, layers);
  add(attention + "kv_b_proj", {heads * (nope + value), latent}, 0, layers);
  add(attention + "o_proj", {hidden, heads * value}, 0, layers);
  mlp(layer + "mlp.", size("intermediate_size"), 0, dense);
  add(layer + "mlp.gate", {experts, hidden}, dense, layers);
  mlp(layer + "mlp.shared_experts.", expert * size("n_shared_experts"), dense, layers);
  mlp(layer + "mlp.experts.{e}.", expert, dense, layers);
  if (config["topk_method"] == "noaux_tc") {
    tensors.push_back({{"name", layer + "mlp.gate.e_score_correction_bias"},
                       {"shape", {experts}},
                       {"range", {{"i", {dense, layers - 1}}}}});
    add(layer + "enorm", {hidden}, layers, layers + 1);
    add(layer + "self_attn.o_proj", {hidden, heads * value}, layers, layers + 1);
  }
  return {{"storage_dtype", "BF16"}, {"tensors", tensors}};
}

/// Of the checkpoint: experts may have one each, and one may be halved into two of ours.
std::size_t tensors_used(const model::WeightMap& map) {
  std::set<const void*> used;
  for (const auto& [name, binding] : map.bindings) {
    if (binding.experts.empty()) used.insert(binding.tensor);
    for (const auto& expert : binding.experts) used.insert(expert.tensor);
    if (binding.companion != nullptr) used.insert(binding.companion);
    for (const auto& expert : binding.experts) {
      if (expert.companion != nullptr) used.insert(expert.companion);
    }
  }
  return used.size();
}

// Every real config of a registered architecture builds, and its checkpoint's names and shapes fit without a gap.
TEST(Prepare, RealConfigsHaveNoGaps) {
  const fs::path root = shared() / "hf_configs";
  if (!fs::exists(root)) GTEST_SKIP() << "skipped: " << root << " is not there";
  std::map<std::string, int> seen;
  for (const model::RegistryEntry& entry : model::registry()) seen[std::string(entry.architecture->name)] = 0;
  for (const fs::directory_entry& entry : fs::directory_iterator(root)) {
    const fs::path path = entry.path() / "config.json";
    if (!fs::exists(path)) continue;
    const Json config = read_json_file(path.string()).value();
    if (!config.contains("architectures") || !seen.contains(config["architectures"][0])) continue;
    SCOPED_TRACE(entry.path().filename().string());
    auto prepared = prepare(options_for(entry.path()), false);
    ASSERT_TRUE(prepared) << prepared.error().message;
    if (!fs::exists(entry.path() / "tensors.json")) continue;  // RealDeepseekListsHaveNoGaps brings its own
    EXPECT_THAT(prepared->weights.gaps, ElementsAre());
    ASSERT_NE(prepared->checkpoint, nullptr);
    EXPECT_EQ(tensors_used(prepared->weights) + prepared->weights.ignored.size(), prepared->checkpoint->names().size());
    EXPECT_THAT(prepared->config->notes, ElementsAre());
    ++seen[std::string(prepared->entry.architecture->name)];
  }
  EXPECT_GE(seen["LlamaForCausalLM"], 10);
  EXPECT_GE(seen["Qwen2ForCausalLM"], 3);
  EXPECT_GE(seen["Gemma3ForCausalLM"], 1);
  EXPECT_GE(seen["MistralForCausalLM"], 2);
  EXPECT_GE(seen["Qwen3ForCausalLM"], 5);
  EXPECT_GE(seen["Gemma2ForCausalLM"], 1);
  EXPECT_GE(seen["GraniteForCausalLM"], 2);
  EXPECT_GE(seen["Olmo2ForCausalLM"], 1);
  EXPECT_GE(seen["BertModel"], 1);
}

// The same of mixtures of experts, whose matrices are bound from many tensors, or several from one.
TEST(Prepare, RealConfigsOfExpertsHaveNoGaps) {
  const fs::path root = shared() / "hf_configs";
  if (!fs::exists(root)) GTEST_SKIP() << "skipped: " << root << " is not there";
  for (const auto& [name, encoding, parameters] :
       {std::tuple{"mistralai--Mixtral-8x7B-v0.1", "bfloat16", 46702792704},
        {"mistralai--Mixtral-8x22B-v0.1", "bfloat16", 140620634112},
        {"Qwen--Qwen3-30B-A3B", "bfloat16", 30532122624},
        {"ibm-granite--granite-3.1-1b-a400m-instruct", "bfloat16", 1334628352},
        {"openai--gpt-oss-20b", "mxfp4", 20914757184},
        {"openai--gpt-oss-120b", "mxfp4", 116829156672},
        {"unsloth--gpt-oss-20b-BF16", "bfloat16", 20914757184}}) {
    SCOPED_TRACE(name);
    auto prepared = prepare(options_for(root / name), false);
    ASSERT_TRUE(prepared) << prepared.error().message;
    EXPECT_THAT(prepared->weights.gaps, ElementsAre());
    EXPECT_THAT(prepared->weights.ignored, ElementsAre());
    EXPECT_EQ(prepared->weights.parameters, parameters);
    EXPECT_EQ(prepared->encoding.name, encoding);
    EXPECT_THAT(prepared->config->notes, ElementsAre());
  }
}

/// tensors.json of a checkpoint in bfloat16 as it is in FP8: every projection has scales beside it.
Json fp8_tensors(Json list) {
  Json tensors = Json::array();
  for (Json& tensor : list["tensors"]) {
    const std::string name = tensor["name"];
    if (name.ends_with("_proj.weight") || name.ends_with("_proj_with_mqa.weight")) {
      Json scales = tensor;
      scales["name"] = name + "_scale_inv";
      scales["dtype"] = "F32";
      for (Json& size : scales["shape"]) size = (size.get<int>() + 127) / 128;
      tensors.push_back(scales);
      tensor["dtype"] = "F8_E4M3";
    }
    tensors.push_back(tensor);
  }
  list["tensors"] = tensors;
  return list;
}

TEST(Prepare, RealConfigsOfFp8HaveNoGaps) {
  const fs::path root = shared() / "hf_configs";
  if (!fs::exists(root)) GTEST_SKIP() << "skipped: " << root << " is not there";
  for (const auto& [name, sibling, parameters] :
       {std::tuple{"Qwen--Qwen3-30B-A3B-FP8", "Qwen--Qwen3-30B-A3B", 30532122624},
        {"Qwen--Qwen3-32B-FP8", "Qwen--Qwen3-32B", 32762123264}}) {
    SCOPED_TRACE(name);
    const TempDir dir;
    dir.write("config.json", read_json_file((root / name / "config.json").string())->dump());
    const Json list = read_json_file((root / sibling / "tensors.json").string()).value();
    dir.write("tensors.json", fp8_tensors(list).dump());
    auto prepared = prepare(options_for(dir.path()), false);
    ASSERT_TRUE(prepared) << prepared.error().message;
    EXPECT_THAT(prepared->weights.gaps, ElementsAre());
    EXPECT_THAT(prepared->weights.ignored, ElementsAre());
    EXPECT_EQ(prepared->weights.parameters, parameters);
    EXPECT_EQ(prepared->encoding.name, "fp8");
    EXPECT_EQ(tensors_used(prepared->weights), prepared->checkpoint->names().size());
  }
}

// DeepSeek's real configs, with the tensors of their checkpoints: V3's and R1's are FP8.
TEST(Prepare, RealDeepseekListsHaveNoGaps) {
  const fs::path root = shared() / "hf_configs";
  if (!fs::exists(root)) GTEST_SKIP() << "skipped: " << root << " is not there";
  for (const auto& [name, parameters, ignored] : {std::tuple{"deepseek-ai--DeepSeek-V2-Lite", 15706484224, 0U},
                                                  {"deepseek-ai--DeepSeek-V3", 671026419200, 3U},
                                                  {"deepseek-ai--DeepSeek-R1", 671026419200, 3U}}) {
    SCOPED_TRACE(name);
    const Json config = read_json_file((root / name / "config.json").string()).value();
    const bool fp8 = config.contains("quantization_config");
    const TempDir dir;
    dir.write("config.json", config.dump());
    dir.write("tensors.json", (fp8 ? fp8_tensors(deepseek_tensors(config)) : deepseek_tensors(config)).dump());
    auto prepared = prepare(options_for(dir.path()), false);
    ASSERT_TRUE(prepared) << prepared.error().message;
    EXPECT_THAT(prepared->weights.gaps, ElementsAre());
    EXPECT_EQ(prepared->weights.ignored.size(), ignored);
    EXPECT_EQ(prepared->encoding.name, fp8 ? "fp8" : "bfloat16");
    EXPECT_EQ(prepared->weights.parameters, parameters);
    // What a token keeps in each layer: the latent and the shared key, not keys and values of every head.
    EXPECT_EQ(prepared->kv_layout.layers[0].num_kv_heads, 1);
    EXPECT_EQ(prepared->kv_layout.layers[0].key_dim, 576);
    EXPECT_EQ(prepared->kv_layout.layers[0].value_dim, 512);
  }
}

// Llama 4's real config: the checkpoint's class is that of images and text, of which the text runs.
TEST(Prepare, RealLlama4ListHasNoGaps) {
  const fs::path folder = shared() / "hf_configs" / "meta-llama--Llama-4-Scout-17B-16E-Instruct";
  if (!fs::exists(folder)) GTEST_SKIP() << "skipped: " << folder << " is not there";
  const TempDir dir;
  Json config = read_json_file((folder / "config.json").string()).value();
  config["vision_config"] = {{"hidden_size", 1408}};
  dir.write("config.json", config.dump());
  dir.write("tensors.json", R"({"storage_dtype": "BF16", "tensors": [
    {"name": "language_model.model.embed_tokens.weight", "shape": [202048, 5120]},
    {"name": "language_model.model.norm.weight", "shape": [5120]},
    {"name": "language_model.lm_head.weight", "shape": [202048, 5120]},
    {"name": "language_model.model.layers.{i}.input_layernorm.weight", "shape": [5120], "range": {"i": [0, 47]}},
    {"name": "language_model.model.layers.{i}.post_attention_layernorm.weight", "shape": [5120], "range": {"i": [0, 47]}},
    {"name": "language_model.model.layers.{i}.self_attn.q_proj.weight", "shape": [5120, 5120], "range": {"i": [0, 47]}},
    {"name": "language_model.model.layers.{i}.self_attn.k_proj.weight", "shape": [1024, 5120], "range": {"i": [0, 47]}},
    {"name": "language_model.model.layers.{i}.self_attn.v_proj.weight", "shape": [1024, 5120], "range": {"i": [0, 47]}},
    {"name": "language_model.model.layers.{i}.self_attn.o_proj.weight", "shape": [5120, 5120], "range": {"i": [0, 47]}},
    {"name": "language_model.model.layers.{i}.feed_forward.router.weight", "shape": [16, 5120], "range": {"i": [0, 47]}},
    {"name": "language_model.model.layers.{i}.feed_forward.experts.gate_up_proj", "shape": [16, 5120, 16384],
     "range": {"i": [0, 47]}},
    {"name": "language_model.model.layers.{i}.feed_forward.experts.down_proj", "shape": [16, 8192, 5120],
     "range": {"i": [0, 47]}},
    {"name": "language_model.model.layers.{i}.feed_forward.shared_expert.gate_proj.weight", "shape": [8192, 5120],
     "range": {"i": [0, 47]}},
    {"name": "language_model.model.layers.{i}.feed_forward.shared_expert.up_proj.weight", "shape": [8192, 5120],
     "range": {"i": [0, 47]}},
    {"name": "language_model.model.layers.{i}.feed_forward.shared_expert.down_proj.weight", "shape": [5120, 8192],
     "range": {"i": [0, 47]}},
    {"name": "multi_modal_projector.linear_1.weight", "shape": [5120, 4096]},
    {"name": "vision_model.class_embedding", "shape": [1408]}]})");
  auto prepared = prepare(options_for(dir.path()), false);
  ASSERT_TRUE(prepared) << prepared.error().message;
  EXPECT_EQ(prepared->entry.architecture->name, "Llama4ForCausalLM");
  EXPECT_THAT(prepared->weights.gaps, ElementsAre());
  EXPECT_EQ(prepared->weights.ignored.size(), 2U);
  EXPECT_EQ(prepared->weights.parameters, 107769861120);
  // And as it lies here, without tensors.
  EXPECT_EQ(error_of(folder.string(), false), "(no error)");
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
  const fs::path folder = shared() / "hf_configs" / "karpathy--tinyllamas-stories260K";
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
