// transformers/models/mixtral/configuration_mixtral.py
#include "mixtral.h"
#include "model/gguf_config.h"

namespace tenon::architectures::mixtral {

std::shared_ptr<model::ModelConfig> parse_config(model::ConfigReader& config) {
  auto c = std::make_shared<Config>();
  c->vocab_size = config.integer("vocab_size");
  c->hidden_size = config.integer("hidden_size");
  c->intermediate_size = config.integer("intermediate_size");
  c->num_hidden_layers = config.integer("num_hidden_layers", 1, 4096);
  c->num_attention_heads = config.integer("num_attention_heads", 1, 65536);
  c->num_key_value_heads = config.key_value_heads(8);
  c->head_dim = config.integer_or("head_dim", c->hidden_size / c->num_attention_heads, 2, 65536);
  c->max_position_embeddings = config.integer_or("max_position_embeddings", 131072);
  c->rms_norm_eps = config.epsilon_or("rms_norm_eps", 1e-5);
  c->hidden_act = config.activation_or("hidden_act", "silu");
  c->num_local_experts = config.integer_or(config.spelling_of("num_local_experts", "num_experts"), 8, 1, 65536);
  c->num_experts_per_tok = config.integer_or("num_experts_per_tok", 2, 1, c->num_local_experts);
  c->sliding_window = config.optional_integer("sliding_window").value_or(0);
  config.accept("router_jitter_noise");  // of training
  c->tie_word_embeddings = config.boolean_or("tie_word_embeddings", false);
  config.check_heads(c->num_attention_heads, c->num_key_value_heads, c->head_dim);
  c->rope = config.rope(c->head_dim, c->max_position_embeddings, 1000000.0);
  c->max_length_limit = nn::rope_context_limit(c->rope);
  return c;
}

Result<Json> config_from_gguf(const weights::Checkpoint& checkpoint) {
  static constexpr model::GgufField kFields[] = {
      {"expert_count", "num_local_experts"},
      {"expert_used_count", "num_experts_per_tok"},
  };
  return model::config_from_gguf(checkpoint, "MixtralForCausalLM", kFields);
}

}  // namespace tenon::architectures::mixtral
