#include "model/gguf_config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <map>

#include "model/registry.h"
#include "nn/rope.h"

namespace tenon::model {
namespace {

using testing::HasSubstr;

// A GGUF file that is only metadata and a few tensors.
class FakeGguf final : public weights::Checkpoint {
 public:
  explicit FakeGguf(const char* metadata) : metadata_(Json::parse(metadata)) {}
  void set(const char* key, Json value) { metadata_[key] = std::move(value); }
  void add(const std::string& name, std::vector<float> data) {
    data_[name] = std::move(data);
    tensors_[name] = {tensor::DType::kF32,
                      {static_cast<std::int64_t>(data_[name].size())},
                      reinterpret_cast<const std::byte*>(data_[name].data())};
    names_.push_back(name);
  }
  weights::Format format() const override { return weights::Format::kGguf; }
  const std::vector<std::string>& names() const override { return names_; }
  const tensor::TensorView* find(const std::string& name) const override {
    const auto it = tensors_.find(name);
    return it == tensors_.end() ? nullptr : &it->second;
  }
  std::string file_of(const std::string&) const override { return "fake.gguf"; }
  void release(const std::string&) const override {}
  const Json& metadata() const override { return metadata_; }

 private:
  Json metadata_;
  std::vector<std::string> names_;
  std::map<std::string, std::vector<float>> data_;
  std::map<std::string, tensor::TensorView> tensors_;
};

FakeGguf llama() {
  return FakeGguf(R"({"general.architecture": "llama", "llama.context_length": 512, "llama.embedding_length": 64,
    "llama.block_count": 2, "llama.feed_forward_length": 96, "llama.attention.head_count": 4,
    "llama.attention.head_count_kv": 2, "llama.attention.layer_norm_rms_epsilon": 1e-5, "llama.rope.freq_base": 500000.0,
    "llama.rope.dimension_count": 16, "tokenizer.ggml.tokens": ["a", "b", "c"], "tokenizer.ggml.eos_token_id": 2})");
}

Result<Json> config_of(const FakeGguf& file) {
  const Json& architecture = file.metadata()["general.architecture"];
  return find_gguf_architecture(architecture.get<std::string>())->architecture->gguf.config(file);
}

std::string error_of(const FakeGguf& file) {
  const auto config = config_of(file);
  return config ? "(no error)" : config.error().message;
}

TEST(GgufConfig, BecomesAConfigThatParses) {
  const FakeGguf file = llama();
  const auto config = config_of(file);
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ((*config)["vocab_size"], 3);
  EXPECT_EQ((*config)["head_dim"], 16);
  EXPECT_EQ((*config)["tie_word_embeddings"], true);
  EXPECT_EQ((*config)["attention_bias"], false);
  EXPECT_EQ((*config)["rope_parameters"], Json::parse(R"({"rope_theta": 500000.0, "rope_type": "default"})"));
  const auto parsed = parse_config(*find_architecture("LlamaForCausalLM", nullptr)->architecture, *config);
  ASSERT_TRUE(parsed) << parsed.error().message;
  EXPECT_EQ((*parsed)->max_position_embeddings, 512);
  EXPECT_EQ((*parsed)->eos_token_ids, (std::vector<std::int32_t>{2}));
}

// Whatever the family's own default: SmolLM3's is 2000000.
TEST(GgufConfig, WithoutABaseItIsLlamaCpps) {
  FakeGguf file = llama();
  file.set("llama.rope.freq_base", nullptr);
  EXPECT_EQ((*config_of(file))["rope_parameters"]["rope_theta"], 10000.0);
}

TEST(GgufConfig, TensorsSayWhatMetadataDoesNot) {
  FakeGguf file = llama();
  file.add("output.weight", {0});
  file.add("blk.0.attn_q.bias", {0});
  file.add("rope_freqs.weight", {1, 1, 1, 1, 2, 4, 8, 8});
  const auto config = config_of(file);
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ((*config)["tie_word_embeddings"], false);
  EXPECT_EQ((*config)["attention_bias"], true);
  ConfigReader reader(*config, "Test");
  const nn::RopeFrequencies scaled = nn::rope_frequencies(reader.rope(16, 512), 512);
  nn::RopeConfig plain{.rope_theta = 500000.0, .head_dim = 16, .max_position_embeddings = 512};
  EXPECT_EQ(scaled.inv_freq[5], nn::rope_frequencies(plain, 512).inv_freq[5] / 4);
  EXPECT_EQ(scaled.inv_freq[0], 1.0);

  file.add("rope_freqs.weight", {1, 1, 1, 1, 2, 4, 8, -8});
  EXPECT_THAT(error_of(file), HasSubstr("rope_freqs.weight holds a factor that is not positive"));
}

TEST(GgufConfig, NothingThatChangesTheMathsIsGuessed) {
  for (const char* key : {"context_length", "embedding_length", "block_count", "attention.head_count",
                          "attention.layer_norm_rms_epsilon"}) {
    FakeGguf file = llama();
    file.set((std::string("llama.") + key).c_str(), nullptr);
    EXPECT_THAT(error_of(file), HasSubstr("GGUF metadata key llama." + std::string(key) + " is missing"));
  }
  FakeGguf olmo(R"({"general.architecture": "olmo", "olmo.context_length": 512, "olmo.embedding_length": 64,
    "olmo.block_count": 2, "olmo.feed_forward_length": 96, "olmo.attention.head_count": 4,
    "tokenizer.ggml.tokens": ["a"]})");
  EXPECT_THAT(error_of(olmo), HasSubstr("GGUF metadata key olmo.attention.layer_norm_epsilon is missing"));
}

TEST(GgufConfig, WhatIsWrongIsNamedByItsKey) {
  const Architecture& architecture = *find_architecture("LlamaForCausalLM", nullptr)->architecture;
  const auto error = [&](const char* key, const Json& value) {
    FakeGguf file = llama();
    file.set(key, value);
    const auto parsed = parse_config(architecture, *config_of(file));
    return parsed ? "(no error)" : parsed.error().message;
  };
  EXPECT_THAT(error("llama.attention.layer_norm_rms_epsilon", -1.0),
              HasSubstr("GGUF metadata key llama.attention.layer_norm_rms_epsilon (rms_norm_eps of LlamaForCausalLM) "
                        "is -1.0, but must be more than 0"));
  EXPECT_THAT(error("llama.feed_forward_length", nullptr),
              HasSubstr("key llama.feed_forward_length (intermediate_size of LlamaForCausalLM) is missing"));
  EXPECT_THAT(error("llama.rope.freq_base", "x"), HasSubstr("GGUF metadata key llama.rope.freq_base "));
}

TEST(GgufConfig, RopeScaling) {
  FakeGguf file = llama();
  file.set("llama.rope.scaling.type", "yarn");
  file.set("llama.rope.scaling.factor", 4.0);
  file.set("llama.rope.scaling.original_context_length", 128);
  EXPECT_EQ((*config_of(file))["rope_parameters"], Json::parse(R"({"rope_theta": 500000.0, "rope_type": "yarn",
    "factor": 4.0, "original_max_position_embeddings": 128})"));
  file.set("llama.rope.scaling.yarn_attn_factor", 1.25);
  EXPECT_EQ((*config_of(file))["rope_parameters"]["attention_factor"], 1.25);
  file.set("llama.rope.scaling.type", "longrope");
  EXPECT_THAT(error_of(file), HasSubstr("\"longrope\"; known are none, linear and yarn"));
}

TEST(GgufConfig, LlamaWithExpertsIsMixtral) {
  FakeGguf file = llama();
  file.set("llama.expert_count", 4);
  file.set("llama.expert_used_count", 2);
  EXPECT_EQ((*config_of(file))["architectures"][0], "MixtralForCausalLM");
  const Architecture& mixtral = *find_architecture("MixtralForCausalLM", nullptr)->architecture;
  const auto config = mixtral.gguf.config(file);
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ((*config)["num_local_experts"], 4);
  EXPECT_EQ((*config)["num_experts_per_tok"], 2);
  const auto parsed = parse_config(mixtral, *config);
  EXPECT_TRUE(parsed) << parsed.error().message;
  file.set("llama.expert_count", 0);
  EXPECT_THAT(error_of(file), HasSubstr("llama.expert_used_count is 2, but LlamaForCausalLM does not read it"));
}

// One name for two classes: the router's scores tell them apart. Lengths are of the compressed cache, or of the heads.
TEST(GgufConfig, DeepseekIsV2OrV3) {
  FakeGguf file(R"({"general.architecture": "deepseek2", "deepseek2.context_length": 512, "deepseek2.block_count": 2,
    "deepseek2.embedding_length": 64, "deepseek2.feed_forward_length": 96, "deepseek2.attention.head_count": 4,
    "deepseek2.attention.head_count_kv": 1, "deepseek2.attention.layer_norm_rms_epsilon": 1e-6,
    "deepseek2.attention.kv_lora_rank": 20, "deepseek2.attention.key_length": 28, "deepseek2.attention.value_length": 20,
    "deepseek2.attention.key_length_mla": 18, "deepseek2.attention.value_length_mla": 6,
    "deepseek2.rope.dimension_count": 8, "deepseek2.rope.freq_base": 10000.0, "deepseek2.rope.scaling.type": "yarn",
    "deepseek2.rope.scaling.factor": 4.0, "deepseek2.rope.scaling.original_context_length": 128,
    "deepseek2.rope.scaling.yarn_log_multiplier": 0.0707, "deepseek2.leading_dense_block_count": 1,
    "deepseek2.expert_count": 6, "deepseek2.expert_used_count": 2, "deepseek2.expert_shared_count": 1,
    "deepseek2.expert_feed_forward_length": 24, "deepseek2.expert_weights_scale": 1.0,
    "tokenizer.ggml.tokens": ["a", "b", "c"]})");
  auto config = config_of(file);
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ((*config)["architectures"][0], "DeepseekV2ForCausalLM");
  EXPECT_EQ((*config)["qk_nope_head_dim"], 10);
  EXPECT_EQ((*config)["v_head_dim"], 6);
  EXPECT_NEAR((*config)["rope_parameters"]["mscale_all_dim"].get<double>(), 0.707, 1e-9);
  auto parsed = parse_config(*find_architecture("DeepseekV2ForCausalLM", nullptr)->architecture, *config);
  EXPECT_TRUE(parsed) << parsed.error().message;

  file.set("deepseek2.expert_gating_func", 2);
  file.set("deepseek2.expert_weights_norm", true);
  file.set("deepseek2.attention.q_lora_rank", 24);
  file.set("deepseek2.expert_group_count", 2);
  file.set("deepseek2.expert_group_used_count", 1);
  config = config_of(file);
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ((*config)["architectures"][0], "DeepseekV3ForCausalLM");
  config = find_architecture("DeepseekV3ForCausalLM", nullptr)->architecture->gguf.config(file);
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ((*config)["topk_group"], 1);
  parsed = parse_config(*find_architecture("DeepseekV3ForCausalLM", nullptr)->architecture, *config);
  EXPECT_TRUE(parsed) << parsed.error().message;

  // What a checkpoint that transformers saved becomes: its config does not say scoring_func.
  file.set("deepseek2.expert_gating_func", nullptr);
  file.add("blk.1.exp_probs_b.bias", {0, 0, 0, 0, 0, 0});
  EXPECT_EQ((*config_of(file))["architectures"][0], "DeepseekV3ForCausalLM");

  file.set("deepseek2.rope.scaling.yarn_log_multiplier", nullptr);
  EXPECT_THAT(error_of(file), HasSubstr("has no key rope.scaling.yarn_log_multiplier"));
}

TEST(GgufConfig, Lfm2SaysByHeadsWhichLayersAttend) {
  FakeGguf file(R"({"general.architecture": "lfm2", "lfm2.context_length": 512, "lfm2.block_count": 3,
    "lfm2.embedding_length": 64, "lfm2.feed_forward_length": 96, "lfm2.attention.head_count": 4,
    "lfm2.attention.head_count_kv": [0, 2, 0], "lfm2.attention.layer_norm_rms_epsilon": 1e-5,
    "lfm2.shortconv.l_cache": 3, "lfm2.rope.freq_base": 1000000.0, "lfm2.vocab_size": 3})");
  const auto config = config_of(file);
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ((*config)["layer_types"], Json::parse(R"(["conv", "full_attention", "conv"])"));
  EXPECT_EQ((*config)["num_key_value_heads"], 2);
  const auto parsed = parse_config(*find_architecture("Lfm2ForCausalLM", nullptr)->architecture, *config);
  ASSERT_TRUE(parsed) << parsed.error().message;
  file.set("lfm2.attention.head_count_kv", 2);
  EXPECT_THAT(error_of(file), HasSubstr("head_count_kv is not a list of layers"));
}

TEST(GgufConfig, Llama4) {
  FakeGguf file(R"({"general.architecture": "llama4", "llama4.context_length": 512, "llama4.block_count": 4,
    "llama4.embedding_length": 64, "llama4.feed_forward_length": 96, "llama4.attention.head_count": 4,
    "llama4.attention.head_count_kv": 2, "llama4.attention.layer_norm_rms_epsilon": 1e-5, "llama4.expert_count": 128,
    "llama4.expert_used_count": 1, "llama4.expert_feed_forward_length": 48, "llama4.interleave_moe_layer_step": 2,
    "llama4.attention.key_length": 16, "llama4.attention.value_length": 16, "llama4.rope.dimension_count": 16,
    "llama4.rope.freq_base": 500000.0, "llama4.vocab_size": 3})");
  const auto config = config_of(file);
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ((*config)["intermediate_size"], 48);
  EXPECT_EQ((*config)["intermediate_size_mlp"], 96);
  EXPECT_EQ((*config)["use_qk_norm"], false);
  const auto parsed = parse_config(*find_architecture("Llama4ForCausalLM", nullptr)->architecture, *config);
  EXPECT_TRUE(parsed) << parsed.error().message;
  file.set("llama4.attention.sliding_window", 0);
  EXPECT_THAT(error_of(file), HasSubstr("without chunks is not read"));
}

TEST(GgufConfig, UnknownKeysAreRefusedByName) {
  FakeGguf file = llama();
  file.set("llama.expert_count", 0);
  EXPECT_EQ(error_of(file), "(no error)");
  file.set("llama.logit_scale", 0.25);
  EXPECT_THAT(error_of(file),
              HasSubstr("GGUF metadata key llama.logit_scale is 0.25, but LlamaForCausalLM does not read it"));
}

TEST(GgufConfig, HeadsOfOneWidthFullyRotated) {
  FakeGguf file = llama();
  file.set("llama.rope.dimension_count", 8);
  EXPECT_THAT(error_of(file), HasSubstr("rotating a part of each head"));
  FakeGguf other = llama();
  other.set("llama.attention.key_length", 16);
  other.set("llama.attention.value_length", 8);
  EXPECT_THAT(error_of(other), HasSubstr("attention.value_length differs"));
}

TEST(GgufConfig, Gemma3) {
  FakeGguf file(R"({"general.architecture": "gemma3", "gemma3.context_length": 32768, "gemma3.embedding_length": 640,
    "gemma3.block_count": 7, "gemma3.feed_forward_length": 2048, "gemma3.attention.head_count": 4,
    "gemma3.attention.head_count_kv": 1, "gemma3.attention.key_length": 256, "gemma3.attention.value_length": 256,
    "gemma3.attention.layer_norm_rms_epsilon": 1e-6, "gemma3.rope.freq_base": 1000000.0, "gemma3.rope.scaling.type": "linear",
    "gemma3.rope.scaling.factor": 8.0, "gemma3.attention.sliding_window": 512, "tokenizer.ggml.tokens": ["a"]})");
  const auto config = config_of(file);
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ((*config)["query_pre_attn_scalar"], 256);
  EXPECT_EQ((*config)["rope_parameters"]["full_attention"]["factor"], 8.0);
  EXPECT_EQ((*config)["rope_parameters"]["sliding_attention"]["rope_theta"], 10000.0);
  const auto parsed = parse_config(*find_architecture("Gemma3ForCausalLM", nullptr)->architecture, *config);
  EXPECT_TRUE(parsed) << parsed.error().message;
  file.set("gemma3.block_count", 62);
  EXPECT_EQ((*config_of(file))["query_pre_attn_scalar"], 160) << "27B: hidden_size / heads";
}

// Metadata of a tiny model, by architecture: what all families say.
FakeGguf tiny(const std::string& arch) {
  FakeGguf file("{}");
  file.set("general.architecture", arch);
  const Json common = Json::parse(R"({"context_length": 512, "embedding_length": 64, "block_count": 4,
    "feed_forward_length": 96, "attention.head_count": 4, "attention.head_count_kv": 2, "rope.freq_base": 500000.0})");
  for (const auto& [key, value] : common.items()) file.set((arch + "." + key).c_str(), value);
  file.set("tokenizer.ggml.tokens", Json::parse(R"(["a", "b", "c"])"));
  return file;
}

TEST(GgufConfig, Olmo) {
  FakeGguf file = tiny("olmo");
  file.set("olmo.attention.layer_norm_epsilon", 9.999999747378752e-06);  // 1e-5 as float32
  file.set("olmo.attention.clamp_kqv", 8.0);
  EXPECT_EQ((*config_of(file))["clip_qkv"], 8.0);
  const auto parsed = parse_config(*find_architecture("OlmoForCausalLM", nullptr)->architecture, *config_of(file));
  EXPECT_TRUE(parsed) << parsed.error().message;
  file.set("olmo.attention.clamp_kqv", 0.0);
  EXPECT_FALSE((*config_of(file)).contains("clip_qkv"));
  file.set("olmo.attention.layer_norm_epsilon", 1e-6);
  EXPECT_THAT(error_of(file), HasSubstr("olmo.attention.layer_norm_epsilon is 1e-06"));
}

TEST(GgufConfig, Olmo2And3ShareAName) {
  FakeGguf file = tiny("olmo2");
  file.set("olmo2.attention.layer_norm_rms_epsilon", 1e-6);
  const Json full = Json::parse(R"(["full_attention", "full_attention", "full_attention", "full_attention"])");
  EXPECT_EQ((*config_of(file))["layer_types"], full) << "OLMo 2";
  file.set("olmo2.attention.sliding_window", 128);
  EXPECT_FALSE((*config_of(file)).contains("layer_types")) << "the default pattern";
  file.set("olmo2.attention.sliding_window_pattern", Json::parse("[true, false, true, false]"));
  file.set("olmo2.rope.scaling.type", "yarn");
  file.set("olmo2.rope.scaling.factor", 8.0);
  file.set("olmo2.rope.scaling.original_context_length", 64);
  const auto config = config_of(file);
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ((*config)["layer_types"][1], "full_attention");
  EXPECT_EQ((*config)["layer_types"][2], "sliding_attention");
  EXPECT_EQ((*config)["rope_parameters"]["full_attention"]["rope_type"], "yarn");
  EXPECT_EQ((*config)["rope_parameters"]["sliding_attention"]["rope_type"], "default");
  const auto parsed = parse_config(*find_architecture("Olmo3ForCausalLM", nullptr)->architecture, *config);
  EXPECT_TRUE(parsed) << parsed.error().message;
  file.set("olmo2.attention.sliding_window_pattern", Json::parse("[1, 0, 1, 0]"));
  EXPECT_THAT(error_of(file), HasSubstr("sliding_window_pattern is no list of bools"));
}

TEST(GgufConfig, Exaone4) {
  FakeGguf file = tiny("exaone4");
  file.set("exaone4.attention.layer_norm_rms_epsilon", 1e-5);
  EXPECT_TRUE((*config_of(file))["sliding_window"].is_null());
  const Architecture& architecture = *find_architecture("Exaone4ForCausalLM", nullptr)->architecture;
  EXPECT_TRUE(parse_config(architecture, *config_of(file)));
  file.set("exaone4.attention.sliding_window", 128);
  file.set("exaone4.attention.sliding_window_pattern", Json::parse("[true, true, true, false]"));
  EXPECT_EQ((*config_of(file))["layer_types"][3], "full_attention");
  EXPECT_TRUE(parse_config(architecture, *config_of(file)));
}

TEST(GgufConfig, Qwen3) {
  FakeGguf file = tiny("qwen3");
  file.set("qwen3.attention.layer_norm_rms_epsilon", 1e-6);
  file.set("qwen3.attention.key_length", 32);
  file.set("qwen3.attention.value_length", 32);
  file.set("qwen3.pooling_type", 3);
  const auto config = config_of(file);
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ((*config)["head_dim"], 32);
  EXPECT_EQ((*config)["attention_bias"], false);
  const auto parsed = parse_config(*find_architecture("Qwen3ForCausalLM", nullptr)->architecture, *config);
  EXPECT_TRUE(parsed) << parsed.error().message;
}

TEST(GgufConfig, Gemma2) {
  FakeGguf file = tiny("gemma2");
  file.set("gemma2.attention.layer_norm_rms_epsilon", 1e-6);
  file.set("gemma2.attention.key_length", 32);
  file.set("gemma2.attention.value_length", 32);
  file.set("gemma2.attention.sliding_window", 4096);
  file.set("gemma2.attn_logit_softcapping", 50.0);
  file.set("gemma2.final_logit_softcapping", 30.0);
  const auto config = config_of(file);
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ((*config)["query_pre_attn_scalar"], 32) << "head_dim";
  EXPECT_EQ((*config)["attn_logit_softcapping"], 50.0);
  const auto parsed = parse_config(*find_architecture("Gemma2ForCausalLM", nullptr)->architecture, *config);
  EXPECT_TRUE(parsed) << parsed.error().message;
  file.set("gemma2.block_count", 46);
  EXPECT_EQ((*config_of(file))["query_pre_attn_scalar"], 16) << "27B: hidden_size / heads";
}

TEST(GgufConfig, Granite) {
  FakeGguf file = tiny("granite");
  file.set("granite.attention.layer_norm_rms_epsilon", 1e-5);
  EXPECT_EQ((*config_of(file))["attention_multiplier"], 0.25) << "1/sqrt(head_dim)";
  file.set("granite.attention.scale", 0.015625);
  file.set("granite.embedding_scale", 12.0);
  file.set("granite.residual_scale", 0.22);
  file.set("granite.logit_scale", 8.0);
  const auto config = config_of(file);
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ((*config)["attention_multiplier"], 0.015625);
  EXPECT_EQ((*config)["embedding_multiplier"], 12.0);
  EXPECT_EQ((*config)["residual_multiplier"], 0.22);
  EXPECT_EQ((*config)["logits_scaling"], 8.0);
  const auto parsed = parse_config(*find_architecture("GraniteForCausalLM", nullptr)->architecture, *config);
  EXPECT_TRUE(parsed) << parsed.error().message;
}

TEST(GgufConfig, SmolLM3) {
  FakeGguf file = tiny("smollm3");
  file.set("smollm3.attention.layer_norm_rms_epsilon", 1e-6);
  file.set("smollm3.rope.dimension_count", 16);
  const auto config = config_of(file);
  ASSERT_TRUE(config) << config.error().message;
  const auto parsed = parse_config(*find_architecture("SmolLM3ForCausalLM", nullptr)->architecture, *config);
  EXPECT_TRUE(parsed) << parsed.error().message;
}

TEST(GgufConfig, Phi3) {
  FakeGguf file = tiny("phi3");
  file.set("phi3.attention.layer_norm_rms_epsilon", 1e-5);
  file.set("phi3.attention.sliding_window", 0);
  file.set("phi3.rope.scaling.original_context_length", 64);
  const Architecture& architecture = *find_architecture("Phi3ForCausalLM", nullptr)->architecture;
  EXPECT_TRUE((*config_of(file))["sliding_window"].is_null());
  EXPECT_TRUE(parse_config(architecture, *config_of(file)));
  file.add("rope_factors_short.weight", {1, 1, 1, 1, 1, 1, 1, 2});
  file.add("rope_factors_long.weight", {1, 1, 1, 1, 2, 4, 8, 8});
  file.set("phi3.rope.scaling.attn_factor", 1.19);
  const auto config = config_of(file);
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ((*config)["rope_parameters"]["rope_type"], "longrope");
  EXPECT_EQ((*config)["rope_parameters"]["long_factor"][5], 4.0);
  EXPECT_EQ((*config)["rope_parameters"]["attention_factor"], 1.19);
  EXPECT_EQ((*config)["original_max_position_embeddings"], 64);
  const auto parsed = parse_config(architecture, *config);
  EXPECT_TRUE(parsed) << parsed.error().message;
  file.add("rope_factors_short.weight", {1, 1, 1});
  EXPECT_THAT(parse_config(architecture, *config_of(file)).error().message,
              HasSubstr("short_factor of Phi3ForCausalLM has 3 entries"));
}

}  // namespace
}  // namespace tenon::model
