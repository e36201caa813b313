// transformers/models/deepseek_v2/configuration_deepseek_v2.py
#include <array>

#include "deepseek_v2.h"
#include "model/gguf_config.h"

namespace tenon::architectures::deepseek_v2 {
namespace {

// The reference reads one of these values only.
void expect(model::ConfigReader& config, std::string_view field, std::string_view value) {
  const std::string found = config.string_or(field, value);
  if (found == value) return;
  config.fail(field, "is \"" + found + "\"; known is \"" + std::string(value) + "\"", ErrorCode::kUnsupported);
}

void read_attention(model::ConfigReader& config, Config& c) {
  c.attention.num_attention_heads = config.integer("num_attention_heads", 1, 65536);
  if (config.integer_or("num_key_value_heads", c.attention.num_attention_heads, 1, 65536) !=
      c.attention.num_attention_heads) {
    config.fail("num_key_value_heads", "is not num_attention_heads: every head has keys of its own");
  }
  // null: queries are not compressed.
  c.attention.q_lora_rank = config.states("q_lora_rank") ? config.optional_integer("q_lora_rank").value_or(0)
                                                         : config.integer_or("q_lora_rank", 1536);
  c.attention.kv_lora_rank = config.integer_or("kv_lora_rank", 512, 2);
  c.attention.qk_nope_head_dim = config.integer_or("qk_nope_head_dim", 128, 1, 65536);
  c.attention.qk_rope_head_dim = config.integer_or("qk_rope_head_dim", 64, 2, 65536);
  c.attention.v_head_dim = config.integer_or("v_head_dim", 128, 1, 65536);
  config.check_product("qk_nope_head_dim", c.attention.qk_nope_head_dim + c.attention.qk_rope_head_dim,
                       c.attention.num_attention_heads);
  config.check_product("v_head_dim", c.attention.v_head_dim, c.attention.num_attention_heads);
  if (c.attention.kv_lora_rank % 2 != 0) config.fail("kv_lora_rank", "must be even");
  if (c.attention.qk_rope_head_dim % 2 != 0) config.fail("qk_rope_head_dim", "must be even");
  // Both follow from these; the reference computes them anew.
  config.accept("head_dim");
  config.accept("qk_head_dim");
  c.attention.attention_bias = config.boolean_or("attention_bias", false);
  c.rope = config.rope(c.attention.qk_rope_head_dim, c.max_position_embeddings);
  c.attention.attention_scale = nn::latent_attention_scale(c.attention, c.rope);
}

void read_experts(model::ConfigReader& config, Config& c) {
  c.n_routed_experts = config.integer_or(config.spelling_of("n_routed_experts", "num_experts"), 64, 1, 65536);
  c.num_experts_per_tok = config.integer("num_experts_per_tok", 1, c.n_routed_experts);
  c.n_shared_experts = config.integer_or("n_shared_experts", 2, 1, 65536);
  c.moe_intermediate_size = config.integer_or("moe_intermediate_size", 1407);
  config.check_product("n_shared_experts", c.n_shared_experts, c.moe_intermediate_size);
  c.first_k_dense_replace = config.integer_or("first_k_dense_replace", 0, 0, 4096);
  c.routed_scaling_factor = config.number_or("routed_scaling_factor", 1.0);
  expect(config, "scoring_func", "softmax");
  if (config.integer_or("moe_layer_freq", 1) != 1) config.fail("moe_layer_freq", "must be 1", ErrorCode::kUnsupported);
  if (config.boolean_or("norm_topk_prob", false)) {
    config.fail("norm_topk_prob", "must be false: the reference does not normalize", ErrorCode::kUnsupported);
  }
  const int n_group = config.integer_or("n_group", 1), topk_group = config.integer_or("topk_group", 1);
  const std::string method = config.string_or("topk_method", "greedy");
  if (method == "group_limited_greedy") {
    c.n_group = n_group, c.topk_group = topk_group;
  } else if (method != "greedy") {
    config.fail("topk_method", "is \"" + method + "\"; known are greedy and group_limited_greedy",
                ErrorCode::kUnsupported);
  }
  // The loss of training.
  config.accept("aux_loss_alpha");
  config.accept("seq_aux");
  config.accept("ep_size");
}

}  // namespace

std::shared_ptr<model::ModelConfig> parse_config(model::ConfigReader& config) {
  auto c = std::make_shared<Config>();
  c->vocab_size = config.integer("vocab_size");
  c->hidden_size = config.integer("hidden_size");
  c->intermediate_size = config.integer("intermediate_size");
  c->num_hidden_layers = config.integer("num_hidden_layers", 1, 4096);
  c->max_position_embeddings = config.integer_or("max_position_embeddings", 2048);
  c->rms_norm_eps = config.epsilon_or("rms_norm_eps", 1e-6);
  c->hidden_act = config.activation_or("hidden_act", "silu");
  c->mlp_bias = config.boolean_or("mlp_bias", false);
  c->tie_word_embeddings = config.boolean_or("tie_word_embeddings", false);
  read_attention(config, *c);
  read_experts(config, *c);
  c->max_length_limit = nn::rope_context_limit(c->rope);
  return c;
}

Result<Json> config_from_gguf(const weights::Checkpoint& checkpoint) {
  // The lengths of keys and values are those of the cache, or in older files of the heads.
  static constexpr std::array kFields = std::to_array<model::GgufField>({
      {"attention.q_lora_rank", "q_lora_rank"},
      {"attention.kv_lora_rank", "kv_lora_rank"},
      {"attention.key_length", ""},
      {"attention.key_length_mla", ""},
      {"attention.value_length", "v_head_dim"},
      {"attention.value_length_mla", "v_head_dim"},
      {"rope.dimension_count", "qk_rope_head_dim"},
      {"rope.scaling.yarn_log_multiplier", ""},
      {"leading_dense_block_count", "first_k_dense_replace"},
      {"expert_count", "n_routed_experts"},
      {"expert_used_count", "num_experts_per_tok"},
      {"expert_shared_count", "n_shared_experts"},
      {"expert_feed_forward_length", "moe_intermediate_size"},
      {"expert_weights_scale", "routed_scaling_factor"},
      {"expert_weights_norm", "norm_topk_prob"},
      {"expert_gating_func", ""},
      {"expert_group_count", "n_group"},
      {"expert_group_used_count", "topk_group"},
  });
  TENON_ASSIGN(Json config, model::config_from_gguf(checkpoint, "DeepseekV2ForCausalLM", kFields));
  const auto integer = [&](const char* key) -> std::int64_t {
    const Json* value = model::gguf_value(checkpoint, key);
    return value != nullptr && value->is_number_integer() ? value->get<std::int64_t>() : 0;
  };
  const std::int64_t mla = integer("attention.key_length_mla");
  const std::int64_t key_length = mla != 0 ? mla : integer("attention.key_length");
  config["qk_nope_head_dim"] = key_length - integer("rope.dimension_count");
  config["num_key_value_heads"] = config["num_attention_heads"];
  if (!config.contains("q_lora_rank")) config["q_lora_rank"] = nullptr;
  config.erase("head_dim");
  config["attention_bias"] = checkpoint.find("blk.0.attn_kv_a_mqa.bias") != nullptr;
  config["mlp_bias"] =
      checkpoint.find("blk.0.ffn_down.bias") != nullptr || checkpoint.find("blk.0.ffn_down_shexp.bias") != nullptr;
  Json& rope = config["rope_parameters"];
  if (rope.value("rope_type", "default") == "yarn") {
    const Json* multiplier = model::gguf_value(checkpoint, "rope.scaling.yarn_log_multiplier");
    if (multiplier == nullptr || !multiplier->is_number()) {
      return unsupported("the GGUF file scales rope by yarn and has no key rope.scaling.yarn_log_multiplier");
    }
    rope["mscale"] = rope["mscale_all_dim"] = 10.0 * multiplier->get<double>();  // llama.cpp stores a tenth
  }
  if (integer("expert_group_count") > 1) config["topk_method"] = "group_limited_greedy";
  // Sigmoids, or the bias that only V3 has, where the converter was not told: it is a V3, which reads the file anew.
  const std::string bias = "blk." + std::to_string(integer("leading_dense_block_count")) + ".exp_probs_b.bias";
  if (integer("expert_gating_func") == 2 || checkpoint.find(bias) != nullptr)
    config["architectures"] = Json::array({"DeepseekV3ForCausalLM"});
  return config;
}

}  // namespace tenon::architectures::deepseek_v2
