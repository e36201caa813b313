#include "model/config_reader.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "base/json.h"
#include "model/registry.h"

namespace tenon::model {
namespace {

using testing::HasSubstr;

const Json& base() {
  static const Json json = Json::parse(R"({"architectures": ["LlamaForCausalLM"], "model_type": "llama",
    "vocab_size": 128, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 3, "num_attention_heads": 4,
    "num_key_value_heads": 2, "max_position_embeddings": 256, "rms_norm_eps": 1e-5, "eos_token_id": [2, 5]})");
  return json;
}

Json with(const char* text) {
  Json json = base();
  const Json changes = Json::parse(text);
  for (const auto& [key, value] : changes.items()) json[key] = value;
  return json;
}

Result<std::shared_ptr<const ModelConfig>> parse(const Json& json, const char* name = "LlamaForCausalLM") {
  return parse_config(*find_architecture(name, json)->architecture, json);
}

std::string error_of(const Json& json, const char* name = "LlamaForCausalLM") {
  const auto config = parse(json, name);
  return config ? "(no error)" : config.error().message;
}

bool defaulted(const ModelConfig& config, const std::string& name) {
  for (const ConfigField& field : config.fields) {
    if (field.name == name) return field.defaulted;
  }
  ADD_FAILURE() << name << " was not read";
  return false;
}

TEST(ConfigReader, KeepsWhatWasReadAndMarksDefaults) {
  const auto config = parse(base());
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ((*config)->vocab_size, 128);
  EXPECT_EQ((*config)->eos_token_ids, (std::vector<std::int32_t>{2, 5}));
  EXPECT_EQ((*config)->max_length_limit, 256);
  EXPECT_FALSE(defaulted(**config, "rms_norm_eps"));
  EXPECT_TRUE(defaulted(**config, "attention_bias"));
  EXPECT_TRUE(defaulted(**config, "head_dim"));
}

TEST(ConfigReader, MissingFieldsAreNamed) {
  Json json = base();
  json.erase("hidden_size");
  EXPECT_THAT(error_of(json), HasSubstr("config field hidden_size of LlamaForCausalLM is missing"));
  json["hiden_size"] = 64;
  EXPECT_THAT(error_of(json), HasSubstr("did you mean the field \"hiden_size\"?"));
  // Not one that the family reads itself, though it comes later.
  json = base();
  json.erase("num_key_value_heads");
  json.erase("num_attention_heads");
  json["num_attention_bias"] = 1;
  json["num_key_value_heads"] = 4;
  EXPECT_THAT(error_of(json), HasSubstr("num_attention_heads of LlamaForCausalLM is missing; did you mean the field "
                                        "\"num_attention_bias\"?"));
  json.erase("num_attention_bias");
  EXPECT_THAT(error_of(json), HasSubstr("num_attention_heads of LlamaForCausalLM is missing: add it to config.json"));
}

TEST(ConfigReader, EpsilonsAreSmallAndPositive) {
  for (const char* bad : {"-1", "0", "1", "1e-5000"}) {
    const std::string text = std::string(R"({"rms_norm_eps": )") + bad + "}";
    EXPECT_THAT(error_of(with(text.c_str())), HasSubstr("config field rms_norm_eps of LlamaForCausalLM is "));
    EXPECT_THAT(error_of(with(text.c_str())), HasSubstr("but must be more than 0 and less than 1"));
  }
  EXPECT_TRUE(parse(with(R"({"rms_norm_eps": 1e-12})")));
}

// A file of GGUF metadata has no fields of config.json for its user to look at.
TEST(ConfigReader, FieldsOfGgufAreNamedByTheirKeys) {
  Json json = with(R"({"gguf_metadata_keys": {"num_attention_heads": "llama.attention.head_count"}})");
  EXPECT_TRUE(parse(json)) << error_of(json);
  json["num_attention_heads"] = 0;
  EXPECT_THAT(error_of(json), HasSubstr("GGUF metadata key llama.attention.head_count (num_attention_heads of "
                                        "LlamaForCausalLM) is 0, but must be an integer"));
  json.erase("num_attention_heads");
  EXPECT_THAT(error_of(json), testing::EndsWith("(num_attention_heads of LlamaForCausalLM) is missing"));
  // A config.json may have a field of that name, with anything in it.
  EXPECT_THAT(error_of(with(R"({"gguf_metadata_keys": {"hidden_size": 1}, "hidden_size": 0})")),
              HasSubstr("config field hidden_size of LlamaForCausalLM is 0"));
}

TEST(ConfigReader, WrongTypesAndRanges) {
  EXPECT_THAT(error_of(with(R"({"hidden_size": "64"})")), HasSubstr("hidden_size of LlamaForCausalLM is \"64\""));
  EXPECT_THAT(error_of(with(R"({"hidden_size": 0})")), HasSubstr("an integer from 1 to"));
  EXPECT_THAT(error_of(with(R"({"hidden_size": 1e30})")), HasSubstr("an integer from 1 to"));
  EXPECT_THAT(error_of(with(R"({"num_attention_heads": 0})")), HasSubstr("num_attention_heads"));
  // What an int cannot hold.
  EXPECT_THAT(error_of(with(R"({"num_attention_heads": 65536, "num_key_value_heads": 65536, "head_dim": 65536})")),
              HasSubstr("head_dim of LlamaForCausalLM makes a size of 4294967296"));
  EXPECT_THAT(error_of(with(R"({"rms_norm_eps": "small"})")), HasSubstr("must be a number"));
  EXPECT_THAT(error_of(with(R"({"attention_bias": 1})")), HasSubstr("must be true or false"));
  EXPECT_THAT(error_of(with(R"({"eos_token_id": ["a"]})")), HasSubstr("eos_token_id"));
  EXPECT_THAT(error_of(Json::array()), HasSubstr("not a JSON object"));
  EXPECT_TRUE(parse(with(R"({"max_position_embeddings": 512.0})")));
}

TEST(ConfigReader, UnreadFieldsThatMatterAreErrors) {
  EXPECT_THAT(error_of(with(R"({"logit_scale": 0.25})")),
              HasSubstr("config field logit_scale is 0.25, but LlamaForCausalLM does not read it"));
  EXPECT_THAT(error_of(with(R"({"mlp_bais": true})")), HasSubstr("did you mean \"mlp_bias\"?"));
  EXPECT_THAT(error_of(with(R"({"rope_interleaved": true})")), HasSubstr("rope_interleaved"));
  EXPECT_THAT(error_of(with(R"({"quantization_config": {"quant_method": "gptq", "bits": 4}})")),
              HasSubstr("the method \"gptq\", which is not supported"));
  const auto fp8 = [&](const std::string& more) {
    const std::string text =
        R"({"quantization_config": {"quant_method": "fp8", "modules_to_not_convert": ["lm_head"])" + more + "}}";
    return with(text.c_str());
  };
  EXPECT_TRUE(parse(fp8(R"(, "weight_block_size": [128, 128], "fmt": "e4m3", "activation_scheme": "dynamic")")));
  EXPECT_THAT(error_of(fp8("")), HasSubstr("quantization_config.weight_block_size is null, but of fp8 only [128,128]"));
  EXPECT_THAT(error_of(fp8(R"(, "weight_block_size": [64, 128])")), HasSubstr("weight_block_size is [64,128]"));
  EXPECT_THAT(error_of(fp8(R"(, "weight_block_size": [128, 128], "fmt": "e5m2")")), HasSubstr("fmt is \"e5m2\""));
  EXPECT_THAT(error_of(fp8(R"(, "weight_block_size": [128, 128], "activation_scheme": "static")")),
              HasSubstr("activation_scheme is \"static\""));
  EXPECT_THAT(error_of(fp8(R"(, "weight_block_size": [128, 128], "rotation": 4)")), HasSubstr("rotation is 4"));
  // Harmless, or saying nothing.
  EXPECT_TRUE(
      parse(with(R"({"torch_dtype": "bfloat16", "use_cache": true, "initializer_range": 0.02, "rope_interleaved":
    false, "logit_scale": null, "pretraining_tp": 4, "transformers.js_config": {"a": 1}, "auto_map": {}})")));
}

TEST(ConfigReader, HeadsMustFit) {
  EXPECT_THAT(error_of(with(R"({"num_key_value_heads": 3})")), HasSubstr("does not divide num_attention_heads 4"));
  EXPECT_THAT(error_of(with(R"({"head_dim": 15})")), HasSubstr("even number of dims"));
}

TEST(ConfigReader, UnknownActivationsAreRefusedWithTheList) {
  EXPECT_THAT(
      error_of(with(R"({"hidden_act": "gelu_9000"})")),
      testing::AllOf(HasSubstr("unknown activation \"gelu_9000\""), HasSubstr("gelu_pytorch_tanh, quick_gelu, relu")));
}

TEST(ConfigReader, ReadsANestedTextConfig) {
  Json nested = Json::object();
  nested["architectures"] = base()["architectures"];
  nested["eos_token_id"] = 7;
  nested["text_config"] = base();
  nested["text_config"].erase("eos_token_id");
  const auto config = parse(nested);
  ASSERT_TRUE(config) << config.error().message;
  EXPECT_EQ((*config)->hidden_size, 64);
  EXPECT_EQ((*config)->eos_token_ids, (std::vector<std::int32_t>{7}));
  nested["vision_config"] = {{"hidden_size", 3}};
  EXPECT_THAT(error_of(nested), HasSubstr("vision_config"));
}

nn::RopeConfig rope_of(const Json& json) {
  ConfigReader reader(json, "Test");
  return reader.rope(16, 256);
}

TEST(RopeReader, OldAndNewSpellingsAgree) {
  const nn::RopeConfig old = rope_of(Json::parse(R"({"rope_theta": 500000.0, "rope_scaling": {"type": "llama3",
    "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 64}})"));
  const nn::RopeConfig now = rope_of(Json::parse(R"({"rope_parameters": {"rope_type": "llama3", "rope_theta": 500000.0,
    "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0, "original_max_position_embeddings": 64}})"));
  EXPECT_EQ(old.rope_type, nn::RopeType::kLlama3);
  EXPECT_EQ(nn::rope_frequencies(old, 256).inv_freq, nn::rope_frequencies(now, 256).inv_freq);
  EXPECT_EQ(old.rope_theta, 500000.0);
  EXPECT_EQ(old.original_max_position_embeddings, 64);
}

TEST(RopeReader, DefaultsOfTransformers) {
  EXPECT_EQ(rope_of(Json::object()).rope_theta, 10000.0);
  const nn::RopeConfig yarn = rope_of(Json::parse(R"({"rope_scaling": {"rope_type": "yarn", "factor": 4.0}})"));
  EXPECT_EQ(yarn.original_max_position_embeddings, 256);
  EXPECT_EQ(yarn.beta_fast, 32.0);
  EXPECT_TRUE(yarn.truncate);
  const nn::RopeConfig ratio = rope_of(Json::parse(
      R"({"rope_scaling": {"rope_type": "yarn", "factor": null, "original_max_position_embeddings": 64}})"));
  EXPECT_EQ(ratio.factor, 4.0);
}

TEST(RopeReader, TurnsOfYarnAreMoreThanNone) {
  for (const std::string name : {"beta_fast", "beta_slow"}) {
    const std::string scaling = R"({"rope_scaling": {"rope_type": "yarn", "factor": 4.0, ")" + name + R"(": -1}})";
    EXPECT_THAT(error_of(with(scaling.c_str())), HasSubstr(name + " of LlamaForCausalLM must be more than 0"));
  }
}

TEST(RopeReader, TwoBasesThatContradictEachOther) {
  EXPECT_THAT(error_of(with(R"({"rope_theta": 12345.0, "rope_parameters": {"rope_theta": 500000.0}})")),
              HasSubstr("rope_theta of LlamaForCausalLM is 12345.0, but rope_parameters.rope_theta is 500000.0"));
  EXPECT_THAT(error_of(with(R"({"rope_theta": 5.0, "rope_scaling": {"type": "default", "rope_theta": 6}})")),
              HasSubstr("but rope_scaling.rope_theta is 6"));
  EXPECT_TRUE(parse(with(R"({"rope_theta": 500000, "rope_parameters": {"rope_theta": 500000.0}})")));
}

TEST(RopeReader, APartOfEachHead) {
  const auto rotated = [](const char* text) -> std::string {
    const Json config = parse_json(text, "test").value();
    ConfigReader reader(config, "Partial");
    const int dims = reader.rotary_dim(16, 0.25);
    const nn::RopeConfig rope = reader.rope(dims, 128);
    ModelConfig out;
    const Status status = reader.finish(out);
    return status ? std::to_string(rope.head_dim) : status.error().message;
  };
  EXPECT_EQ(rotated("{}"), "4");
  EXPECT_EQ(rotated(R"({"partial_rotary_factor": 0.5})"), "8");
  EXPECT_EQ(rotated(R"({"rope_parameters": {"rope_theta": 500.0, "partial_rotary_factor": 1.0}})"), "16");
  EXPECT_THAT(rotated(R"({"partial_rotary_factor": 0.5, "rope_parameters": {"partial_rotary_factor": 1.0}})"),
              HasSubstr("keep one of them"));
  EXPECT_THAT(rotated(R"({"partial_rotary_factor": 0.2})"), HasSubstr("even number of each head's 16 dims"));
  EXPECT_THAT(rotated(R"({"rope_scaling": {"type": "linear", "factor": 2, "partial_rotary_factor": 2}})"),
              HasSubstr("rope_scaling.partial_rotary_factor"));
}

TEST(RopeReader, Refusals) {
  EXPECT_THAT(
      error_of(with(R"({"rope_scaling": {"rope_type": "longrope", "factor": 2.0}})")),
      HasSubstr("rope_scaling.rope_type of LlamaForCausalLM is \"longrope\"; known are default, linear, dynamic, "
                "llama3 and yarn"));
  EXPECT_THAT(error_of(with(R"({"rope_scaling": {"type": "su"}})")), HasSubstr("rope_scaling.type"));
  EXPECT_THAT(error_of(with(R"({"rope_scaling": {"rope_type": "linear"}})")), HasSubstr("rope_scaling.factor"));
  EXPECT_THAT(error_of(with(R"({"rope_scaling": {"rope_type": "linear", "factor": 0.5}})")), HasSubstr("at least 1"));
  EXPECT_THAT(error_of(with(R"({"rope_scaling": {"rope_type": "linear", "factor": 2, "mrope_section": [1]}})")),
              HasSubstr("rope_scaling.mrope_section"));
  EXPECT_THAT(error_of(with(R"({"rope_scaling": {"rope_type": "linear", "factor": 2}, "rope_parameters": {"rope_theta":
    3.0}})")),
              HasSubstr("beside rope_parameters"));
  EXPECT_THAT(error_of(with(R"({"rope_scaling": 3})")), HasSubstr("must be an object"));
  EXPECT_THAT(error_of(with(R"({"partial_rotary_factor": 0.5})")), HasSubstr("partial_rotary_factor"));
  EXPECT_THAT(error_of(with(R"({"rope_theta": 0})")), HasSubstr("rope_theta"));
}

TEST(Registry, UnknownArchitecturesGetTheListAndTheNearestDonor) {
  Json gemma = with(R"({"hidden_activation": "gelu_pytorch_tanh", "query_pre_attn_scalar": 16, "sliding_window": 8,
    "rope_local_base_freq": 10000, "sliding_window_pattern": 6})");
  const auto found = find_architecture("FancyForCausalLM", gemma);
  ASSERT_FALSE(found);
  EXPECT_THAT(found.error().message, HasSubstr("LlamaForCausalLM, Qwen2ForCausalLM, Gemma3ForCausalLM"));
  EXPECT_THAT(found.error().message, HasSubstr("Gemma3ForCausalLM is the nearest"));
  EXPECT_THAT(find_architecture("Llama9ForCausalLM", base()).error().message,
              HasSubstr("LlamaForCausalLM is the nearest"));
  // Experts are more than a field, however many others Qwen3-MoE shares with this dense model.
  Json command_r = Json::parse(R"({"attention_bias": false, "hidden_act": "silu", "hidden_size": 32,
    "intermediate_size": 48, "layer_norm_eps": 1e-05, "logit_scale": 0.0625, "max_position_embeddings": 128,
    "num_attention_heads": 4, "num_hidden_layers": 2, "num_key_value_heads": 2, "rope_parameters": {"rope_theta": 5e5},
    "tie_word_embeddings": true, "use_qk_norm": true, "vocab_size": 96})");
  EXPECT_THAT(std::string(nearest_architecture("FancyForCausalLM", command_r).family), testing::Not(HasSubstr("moe")));
  command_r["num_experts"] = 8, command_r["num_experts_per_tok"] = 2;
  EXPECT_THAT(std::string(nearest_architecture("FancyForCausalLM", command_r).family), HasSubstr("moe"));
  EXPECT_THAT(find_architecture("Gemma3ForConditionalGeneration", nullptr).error().message,
              HasSubstr("Gemma3ForConditionalGeneration is not known"));
  const Json minimal = Json::parse(R"({"text_config": {"hidden_size": 8}, "vision_config": {"a": 1}})");
  EXPECT_THAT(find_architecture("Gemma3ForConditionalGeneration", minimal).error().message,
              HasSubstr("Gemma3ForCausalLM is the nearest"));
  // A config with hardly a field that anybody reads is nearest to who reads few, an encoder; the class decides.
  const Json gpt2 = Json::parse(R"({"vocab_size": 96, "n_embd": 64, "n_layer": 2, "n_head": 4, "n_positions": 128})");
  EXPECT_EQ(nearest_architecture("GPT2LMHeadModel", gpt2).architecture->task, Task::kTextGeneration);
  EXPECT_EQ(nearest_architecture("FancyForMaskedLM", base()).architecture->task, Task::kEmbedding);
  EXPECT_THAT(find_gguf_architecture("mamba").error().message, HasSubstr("known are llama, qwen2, gemma3"));
  const std::string known = find_gguf_architecture("mamba").error().message;
  EXPECT_EQ(known.find("deepseek2"), known.rfind("deepseek2")) << "once, though two classes have it";
  EXPECT_EQ(find_gguf_architecture("gemma3")->family, "gemma3");
}

}  // namespace
}  // namespace tenon::model
