// transformers/models/glm4/configuration_glm4.py
#include "glm4.h"

namespace tenon::architectures::glm4 {

std::shared_ptr<model::ModelConfig> parse_config(model::ConfigReader& config) {
  auto c = std::make_shared<Config>();
  c->vocab_size = config.integer_or("vocab_size", 151552);
  c->hidden_size = config.integer_or("hidden_size", 4096);
  c->intermediate_size = config.integer_or("intermediate_size", 13696);
  c->num_hidden_layers = config.integer_or("num_hidden_layers", 40, 1, 4096);
  c->num_attention_heads = config.integer_or("num_attention_heads", 32, 1, 65536);
  c->num_key_value_heads = config.integer_or("num_key_value_heads", 2, 1, 65536);
  c->head_dim = config.integer_or("head_dim", 128, 2, 65536);
  c->max_position_embeddings = config.integer_or("max_position_embeddings", 131072);
  c->rms_norm_eps = config.epsilon_or("rms_norm_eps", 1.5625e-7);
  c->hidden_act = config.activation_or("hidden_act", "silu");
  c->attention_bias = config.boolean_or("attention_bias", true);
  c->tie_word_embeddings = config.boolean_or("tie_word_embeddings", false);
  config.check_heads(c->num_attention_heads, c->num_key_value_heads, c->head_dim);

  // v5 has the rope's fields in rope_parameters, v4 at the top.
  model::ConfigReader rope = config.object("rope_parameters");
  if (rope.string_or("rope_type", "default") != "default") {
    rope.fail("rope_type", "is not \"default\": GLM-4 is known without scaling only", ErrorCode::kUnsupported);
  }
  c->rope_theta = rope.number_or("rope_theta", config.number_or("rope_theta", 10000.0));
  const double factor = rope.number_or("partial_rotary_factor", config.number_or("partial_rotary_factor", 0.5));
  c->rotary_dim = static_cast<int>(c->head_dim * factor);
  if (c->rotary_dim < 2 || c->rotary_dim > c->head_dim || c->rotary_dim % 2 != 0) {
    config.fail("partial_rotary_factor", "must leave an even number of dims, at most head_dim, to rotate");
    c->rotary_dim = 2;
  }
  return c;
}

}  // namespace tenon::architectures::glm4
