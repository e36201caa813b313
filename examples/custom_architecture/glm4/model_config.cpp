// transformers/models/glm4/configuration_glm4.py
#include "glm4.h"
#include "model/gguf_config.h"

namespace tenon::architectures::glm4 {

std::shared_ptr<model::ModelConfig> parse_config(model::ConfigReader& config) {
  auto c = std::make_shared<Config>();
  c->vocab_size = config.integer_or("vocab_size", 151552);
  c->hidden_size = config.integer_or("hidden_size", 4096);
  c->intermediate_size = config.integer_or("intermediate_size", 13696);
  c->num_hidden_layers = config.integer_or("num_hidden_layers", 40, 1, 4096);
  c->num_attention_heads = config.integer_or("num_attention_heads", 32, 1, 65536);
  c->num_key_value_heads = config.key_value_heads(2);
  c->head_dim = config.integer_not_null_or("head_dim", 128, 2, 65536);
  c->max_position_embeddings = config.integer_or("max_position_embeddings", 131072);
  c->rms_norm_eps = config.epsilon_or("rms_norm_eps", 1.5625e-7);
  c->hidden_act = config.activation_or("hidden_act", "silu");
  c->attention_bias = config.boolean_or("attention_bias", true);
  c->tie_word_embeddings = config.boolean_or("tie_word_embeddings", false);
  config.check_heads(c->num_attention_heads, c->num_key_value_heads, c->head_dim);

  c->rope = config.rope(config.rotary_dim(c->head_dim, 0.5), c->max_position_embeddings);
  c->max_length_limit = nn::rope_context_limit(c->rope);
  return c;
}

// GGUF says by the tensors alone whether there are biases.
Result<Json> config_from_gguf(const weights::Checkpoint& checkpoint) {
  static constexpr model::GgufField kFields[] = {{"rope.dimension_count", "partial_rotary_factor"}};
  TENON_ASSIGN(Json config, model::config_from_gguf(checkpoint, "Glm4ForCausalLM", kFields));
  config["attention_bias"] = checkpoint.find("blk.0.attn_q.bias") != nullptr;
  return config;
}

}  // namespace tenon::architectures::glm4
