// The configs of published models, with the names and shapes of their tensors: each is understood, binds every tensor,
// and gets a plan, as `tenon inspect` shows it. Those of permissive licence lie in tests/data/hf_configs; the others
// are read from the shared directory, and skipped where there is none.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <set>

#include "base/file.h"
#include "loader/prepare.h"
#include "loader/test_data.h"

namespace tenon::loader {
namespace {

namespace fs = std::filesystem;
using test::hf_config;
using test::options_for;
using test::TempDir;
using testing::ElementsAre;
using testing::HasSubstr;

struct RealModel {
  std::string folder;
  std::string architecture;     ///< "" of one that was found, and is not listed below
  std::string encoding = {};    ///< "" where it does not matter
  std::int64_t parameters = 0;  ///< likewise 0
  friend std::ostream& operator<<(std::ostream& out, const RealModel& model) { return out << model.folder; }
};

std::string test_name(const testing::TestParamInfo<RealModel>& info) {
  std::string name = info.param.folder;
  std::replace_if(name.begin(), name.end(), [](unsigned char c) { return !std::isalnum(c); }, '_');
  return name;
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

/// What `tenon inspect` says of a model whose tensors are known.
void expect_plan(const LoadOptions& options) {
  const auto text = inspect(options);
  ASSERT_TRUE(text) << text.error().message;
  for (const char* part :
       {" 0 problems;", "== graph after the passes", "== plan", "== memory", " for one sequence of "}) {
    EXPECT_THAT(text->text, HasSubstr(part));
  }
}

const std::vector<RealModel>& listed() {
  static const std::vector<RealModel> models = {
      {"HuggingFaceTB--SmolLM2-1.7B-Instruct", "LlamaForCausalLM"},
      {"HuggingFaceTB--SmolLM2-135M", "LlamaForCausalLM"},
      {"HuggingFaceTB--SmolLM2-135M-Instruct", "LlamaForCausalLM"},
      {"HuggingFaceTB--SmolLM2-360M-Instruct", "LlamaForCausalLM"},
      {"karpathy--tinyllamas-stories260K", "LlamaForCausalLM"},
      {"meta-llama--Llama-2-7b-hf", "LlamaForCausalLM"},
      {"meta-llama--Llama-3.1-405B", "LlamaForCausalLM"},
      {"meta-llama--Llama-3.1-70B", "LlamaForCausalLM"},
      {"meta-llama--Llama-3.1-8B", "LlamaForCausalLM"},
      {"meta-llama--Llama-3.1-8B-Instruct", "LlamaForCausalLM"},
      {"meta-llama--Llama-3.2-1B-Instruct", "LlamaForCausalLM"},
      {"Qwen--Qwen2.5-0.5B-Instruct", "Qwen2ForCausalLM"},
      {"Qwen--Qwen2.5-1.5B-Instruct", "Qwen2ForCausalLM"},
      {"Qwen--Qwen2.5-7B-Instruct", "Qwen2ForCausalLM"},
      {"google--gemma-3-1b-it", "Gemma3ForCausalLM"},
      {"google--gemma-2-2b-it", "Gemma2ForCausalLM"},
      {"mistralai--Mistral-7B-Instruct-v0.3", "MistralForCausalLM"},
      {"mistralai--Mistral-Nemo-Instruct-2407", "MistralForCausalLM"},
      {"Qwen--Qwen3-0.6B", "Qwen3ForCausalLM"},
      {"Qwen--Qwen3-1.7B", "Qwen3ForCausalLM"},
      {"Qwen--Qwen3-8B", "Qwen3ForCausalLM"},
      {"Qwen--Qwen3-32B", "Qwen3ForCausalLM"},
      {"Qwen--Qwen3-Embedding-0.6B", "Qwen3ForCausalLM"},
      {"allenai--OLMo-2-0425-1B", "Olmo2ForCausalLM"},
      {"ibm-granite--granite-3.3-2b-instruct", "GraniteForCausalLM"},
      {"ibm-granite--granite-3.3-8b-instruct", "GraniteForCausalLM"},
      {"microsoft--Phi-3-mini-4k-instruct", "Phi3ForCausalLM"},
      {"microsoft--phi-4", "Phi3ForCausalLM"},
      {"sentence-transformers--all-MiniLM-L6-v2", "BertModel"},
      {"sentence-transformers--all-mpnet-base-v2", "MPNetForMaskedLM"},
      // Mixtures of experts, whose matrices are bound from many tensors, or several from one.
      {"mistralai--Mixtral-8x7B-v0.1", "MixtralForCausalLM", "bfloat16", 46702792704},
      {"mistralai--Mixtral-8x22B-v0.1", "MixtralForCausalLM", "bfloat16", 140620634112},
      {"Qwen--Qwen3-30B-A3B", "Qwen3MoeForCausalLM", "bfloat16", 30532122624},
      {"ibm-granite--granite-3.1-1b-a400m-instruct", "GraniteMoeForCausalLM", "bfloat16", 1334628352},
      {"openai--gpt-oss-20b", "GptOssForCausalLM", "mxfp4", 20914757184},
      {"openai--gpt-oss-120b", "GptOssForCausalLM", "mxfp4", 116829156672},
      {"unsloth--gpt-oss-20b-BF16", "GptOssForCausalLM", "bfloat16", 20914757184},
  };
  return models;
}

/// Those listed, and whatever else has a config of a registered architecture.
std::vector<RealModel> real_models() {
  std::vector<RealModel> models = listed();
  for (const fs::path& root : {hf_config(""), test::shared_dir() / "hf_configs"}) {
    if (!fs::is_directory(root)) continue;
    for (const fs::directory_entry& entry : fs::directory_iterator(root)) {
      const std::string name = entry.path().filename();
      if (std::ranges::count(models, name, &RealModel::folder) > 0) continue;
      const auto config = read_json_file((entry.path() / "config.json").string());
      if (!config || !config->contains("architectures")) continue;
      const std::string architecture = (*config)["architectures"][0];
      for (const model::RegistryEntry& registered : model::registry()) {
        if (registered.architecture->name == architecture) models.push_back({name, ""});
      }
    }
  }
  return models;
}

class RealConfigs : public testing::TestWithParam<RealModel> {};

TEST_P(RealConfigs, HaveNoGaps) {
  const RealModel& model = GetParam();
  const fs::path folder = hf_config(model.folder);
  if (!fs::exists(folder)) GTEST_SKIP() << "skipped: " << folder << " is not there";
  const LoadOptions options = options_for(folder);
  auto prepared = prepare(options, false);
  ASSERT_TRUE(prepared) << prepared.error().message;
  if (!fs::exists(folder / "tensors.json")) {  // the tests of FP8 and of DeepSeek bring their own
    EXPECT_TRUE(model.architecture.empty());
    EXPECT_TRUE(inspect(options));
    return;
  }
  if (!model.architecture.empty()) {
    EXPECT_EQ(prepared->entry.architecture->name, model.architecture);
  }
  EXPECT_THAT(prepared->weights.gaps, ElementsAre());
  ASSERT_NE(prepared->checkpoint, nullptr);
  EXPECT_EQ(tensors_used(prepared->weights) + prepared->weights.ignored.size(), prepared->checkpoint->names().size());
  EXPECT_THAT(prepared->config->notes, ElementsAre());
  if (!model.encoding.empty()) {
    EXPECT_THAT(prepared->weights.ignored, ElementsAre());
    EXPECT_EQ(prepared->encoding.name, model.encoding);
    EXPECT_EQ(prepared->weights.parameters, model.parameters);
  }
  expect_plan(options);
}

INSTANTIATE_TEST_SUITE_P(Real, RealConfigs, testing::ValuesIn(real_models()), test_name);

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

class RealFp8Configs : public testing::TestWithParam<RealModel> {};

TEST_P(RealFp8Configs, HaveNoGaps) {
  const std::string name = GetParam().folder;
  const fs::path folder = hf_config(name), sibling = hf_config(name.substr(0, name.size() - 4));  // without -FP8
  if (!fs::exists(folder) || !fs::exists(sibling)) GTEST_SKIP() << "skipped: " << folder << " is not there";
  const TempDir dir;
  dir.write("config.json", read_json_file((folder / "config.json").string())->dump());
  const Json list = read_json_file((sibling / "tensors.json").string()).value();
  dir.write("tensors.json", fp8_tensors(list).dump());
  auto prepared = prepare(options_for(dir.path()), false);
  ASSERT_TRUE(prepared) << prepared.error().message;
  EXPECT_THAT(prepared->weights.gaps, ElementsAre());
  EXPECT_THAT(prepared->weights.ignored, ElementsAre());
  EXPECT_EQ(prepared->weights.parameters, GetParam().parameters);
  EXPECT_EQ(prepared->encoding.name, "fp8");
  EXPECT_EQ(tensors_used(prepared->weights), prepared->checkpoint->names().size());
  expect_plan(options_for(dir.path()));
}

INSTANTIATE_TEST_SUITE_P(Real, RealFp8Configs,
                         testing::Values(RealModel{"Qwen--Qwen3-30B-A3B-FP8", "", "fp8", 30532122624},
                                         RealModel{"Qwen--Qwen3-32B-FP8", "", "fp8", 32762123264}),
                         test_name);

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

class RealDeepseekConfigs : public testing::TestWithParam<RealModel> {};

// With the tensors of their checkpoints: V3's and R1's are FP8, and have a layer of which three are not used here.
TEST_P(RealDeepseekConfigs, HaveNoGaps) {
  const fs::path folder = hf_config(GetParam().folder);
  if (!fs::exists(folder)) GTEST_SKIP() << "skipped: " << folder << " is not there";
  const Json config = read_json_file((folder / "config.json").string()).value();
  const bool fp8 = config.contains("quantization_config");
  const TempDir dir;
  dir.write("config.json", config.dump());
  dir.write("tensors.json", (fp8 ? fp8_tensors(deepseek_tensors(config)) : deepseek_tensors(config)).dump());
  auto prepared = prepare(options_for(dir.path()), false);
  ASSERT_TRUE(prepared) << prepared.error().message;
  EXPECT_THAT(prepared->weights.gaps, ElementsAre());
  EXPECT_EQ(prepared->weights.ignored.size(), fp8 ? 3U : 0U);
  EXPECT_EQ(fp8 ? "fp8" : "bfloat16", GetParam().encoding);
  EXPECT_EQ(prepared->encoding.name, GetParam().encoding);
  EXPECT_EQ(prepared->weights.parameters, GetParam().parameters);
  // What a token keeps in each layer: the latent and the shared key, not keys and values of every head.
  EXPECT_EQ(prepared->kv_layout.layers[0].num_kv_heads, 1);
  EXPECT_EQ(prepared->kv_layout.layers[0].key_dim, 576);
  EXPECT_EQ(prepared->kv_layout.layers[0].value_dim, 512);
  expect_plan(options_for(dir.path()));
}

INSTANTIATE_TEST_SUITE_P(Real, RealDeepseekConfigs,
                         testing::Values(RealModel{"deepseek-ai--DeepSeek-V2-Lite", "", "bfloat16", 15706484224},
                                         RealModel{"deepseek-ai--DeepSeek-V3", "", "fp8", 671026419200},
                                         RealModel{"deepseek-ai--DeepSeek-R1", "", "fp8", 671026419200}),
                         test_name);

// Llama 4's real config: the checkpoint's class is that of images and text, of which the text runs.
TEST(RealConfigTest, Llama4ListHasNoGaps) {
  const fs::path folder = hf_config("meta-llama--Llama-4-Scout-17B-16E-Instruct");
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
  expect_plan(options_for(dir.path()));
  // And as it lies here, without tensors.
  EXPECT_TRUE(inspect(options_for(folder)));
}

}  // namespace
}  // namespace tenon::loader
