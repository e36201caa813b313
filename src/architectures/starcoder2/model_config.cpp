// transformers/models/starcoder2/configuration_starcoder2.py
#include "model/gguf_config.h"
#include "starcoder2.h"

namespace tenon::architectures::starcoder2 {

std::shared_ptr<model::ModelConfig> parse_config(model::ConfigReader& config) {
  auto c = std::make_shared<Config>();
  c->vocab_size = config.integer_or("vocab_size", 49152);
  c->hidden_size = config.integer_or("hidden_size", 3072);
  c->intermediate_size = config.integer_or("intermediate_size", 12288);
  c->num_hidden_layers = config.integer_or("num_hidden_layers", 30, 1, 4096);
  c->num_attention_heads = config.integer_or("num_attention_heads", 24, 1, 65536);
  c->num_key_value_heads = config.key_value_heads(2);
  c->head_dim = config.integer_or("head_dim", c->hidden_size / c->num_attention_heads, 2, 65536);
  c->max_position_embeddings = config.integer_or("max_position_embeddings", 4096);
  c->norm_epsilon = config.epsilon_or("norm_epsilon", 1e-5);
  c->hidden_act = config.activation_or("hidden_act", "gelu_pytorch_tanh");
  c->use_bias = config.boolean_or("use_bias", true);
  c->sliding_window = config.optional_integer("sliding_window").value_or(0);
  c->tie_word_embeddings = config.boolean_or("tie_word_embeddings", true);
  // The published configs name the only form that there is of both.
  if (config.string_or("norm_type", "layer_norm") != "layer_norm") {
    config.fail("norm_type", "is not \"layer_norm\"", ErrorCode::kUnsupported);
  }
  if (config.string_or("mlp_type", "default") != "default") {
    config.fail("mlp_type", "is not \"default\"", ErrorCode::kUnsupported);
  }
  config.check_heads(c->num_attention_heads, c->num_key_value_heads, c->head_dim);
  c->rope = config.rope(c->head_dim, c->max_position_embeddings);
  c->max_length_limit = nn::rope_context_limit(c->rope);
  return c;
}

Result<Json> config_from_gguf(const weights::Checkpoint& checkpoint) {
  static constexpr model::GgufField kFields[] = {
      {"attention.layer_norm_epsilon", "norm_epsilon"},
      {"attention.sliding_window", "sliding_window"},
  };
  TENON_ASSIGN(Json config, model::config_from_gguf(checkpoint, "Starcoder2ForCausalLM", kFields));
  // llama.cpp's converter leaves the window out, which the published models have.
  if (!config.contains("sliding_window")) config["sliding_window"] = 4096;
  config["use_bias"] = checkpoint.find("blk.0.attn_q.bias") != nullptr;
  return config;
}

}  // namespace tenon::architectures::starcoder2
