// transformers/models/mistral/configuration_mistral.py
#include "mistral.h"

namespace tenon::architectures::mistral {

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
  c->rms_norm_eps = config.epsilon_or("rms_norm_eps", 1e-6);
  c->hidden_act = config.activation_or("hidden_act", "silu");
  // null, which later models say, is no window; a config that does not mention it gets the first model's.
  c->sliding_window = config.states("sliding_window") ? config.optional_integer("sliding_window").value_or(0)
                                                      : config.integer_or("sliding_window", 4096);
  c->tie_word_embeddings = config.boolean_or("tie_word_embeddings", false);
  config.check_heads(c->num_attention_heads, c->num_key_value_heads, c->head_dim);
  c->rope = config.rope(c->head_dim, c->max_position_embeddings);
  c->max_length_limit = nn::rope_context_limit(c->rope);
  return c;
}

}  // namespace tenon::architectures::mistral
