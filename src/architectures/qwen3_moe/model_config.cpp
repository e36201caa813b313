// transformers/models/qwen3_moe/configuration_qwen3_moe.py
#include <algorithm>
#include <array>
#include <optional>

#include "model/gguf_config.h"
#include "qwen3_moe.h"

namespace tenon::architectures::qwen3_moe {

namespace {

// decoder_sparse_step: every so many layers have experts, but those of mlp_only_layers.
std::vector<bool> sparse_layers(model::ConfigReader& config, int num_hidden_layers) {
  const int step = config.integer_or("decoder_sparse_step", 1);
  const std::vector<double> dense = config.numbers("mlp_only_layers");
  std::vector<bool> sparse(static_cast<std::size_t>(num_hidden_layers));
  for (int layer = 0; layer < num_hidden_layers; ++layer) {
    sparse[static_cast<std::size_t>(layer)] = (layer + 1) % step == 0 && std::ranges::find(dense, layer) == dense.end();
  }
  return sparse;
}

}  // namespace

std::shared_ptr<model::ModelConfig> parse_config(model::ConfigReader& config) {
  auto c = std::make_shared<Config>();
  c->vocab_size = config.integer("vocab_size");
  c->hidden_size = config.integer("hidden_size");
  c->intermediate_size = config.integer("intermediate_size");
  c->num_hidden_layers = config.integer("num_hidden_layers", 1, 4096);
  c->num_attention_heads = config.integer("num_attention_heads", 1, 65536);
  c->num_key_value_heads = config.key_value_heads(4);
  c->head_dim = config.integer_or("head_dim", c->hidden_size / c->num_attention_heads, 2, 65536);
  c->max_position_embeddings = config.integer_or("max_position_embeddings", 32768);
  c->rms_norm_eps = config.epsilon_or("rms_norm_eps", 1e-6);
  c->hidden_act = config.activation_or("hidden_act", "silu");
  c->attention_bias = config.boolean_or("attention_bias", false);
  // transformers 5 writes num_local_experts.
  c->num_experts = config.integer_or(config.spelling_of("num_experts", "num_local_experts"), 128, 1, 65536);
  c->num_experts_per_tok = config.integer_or("num_experts_per_tok", 8, 1, c->num_experts);
  c->moe_intermediate_size = config.integer_or("moe_intermediate_size", 768);
  c->norm_topk_prob = config.boolean_or("norm_topk_prob", false);
  c->sparse = sparse_layers(config, c->num_hidden_layers);
  config.accept("max_window_layers");  // the reference does not read it for this class
  // Qwen3-Coder states what every model of this class has.
  if (config.has("use_qk_norm") && !config.boolean_or("use_qk_norm", true)) {
    config.fail("use_qk_norm", "is false, but this architecture normalizes queries and keys", ErrorCode::kUnsupported);
  }
  if (config.has("qkv_bias") && config.boolean_or("qkv_bias", false) != c->attention_bias) {
    config.fail("qkv_bias", "is not attention_bias, which transformers reads");
  }
  if (config.has("shared_expert_intermediate_size") && config.integer("shared_expert_intermediate_size", 0) != 0) {
    config.fail("shared_expert_intermediate_size", "is not 0, but this architecture has no shared expert",
                ErrorCode::kUnsupported);
  }
  const std::optional<int> sliding_window = config.optional_integer("sliding_window");
  if (config.boolean_or("use_sliding_window", false)) c->sliding_window = sliding_window.value_or(4096);
  c->tie_word_embeddings = config.boolean_or("tie_word_embeddings", false);
  config.check_heads(c->num_attention_heads, c->num_key_value_heads, c->head_dim);
  c->rope = config.rope(c->head_dim, c->max_position_embeddings);
  c->max_length_limit = nn::rope_context_limit(c->rope);
  return c;
}

Result<Json> config_from_gguf(const weights::Checkpoint& checkpoint) {
  static constexpr std::array kFields = std::to_array<model::GgufField>({
      {"expert_count", "num_experts"},
      {"expert_used_count", "num_experts_per_tok"},
      {"expert_feed_forward_length", "moe_intermediate_size"},
  });
  TENON_ASSIGN(Json config, model::config_from_gguf(checkpoint, "Qwen3MoeForCausalLM", kFields));
  config["norm_topk_prob"] = true;  // what llama.cpp does for every such file
  if (!config.contains("intermediate_size")) config["intermediate_size"] = config.value("moe_intermediate_size", 768);
  return config;
}

}  // namespace tenon::architectures::qwen3_moe
