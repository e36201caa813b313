// transformers/models/granite/configuration_granite.py
#include "granite.h"
#include "model/gguf_config.h"

#include <cmath>

namespace tenon::architectures::granite {

std::shared_ptr<model::ModelConfig> parse_config(model::ConfigReader& config) {
  auto c = std::make_shared<Config>();
  c->vocab_size = config.integer("vocab_size");
  c->hidden_size = config.integer("hidden_size");
  c->intermediate_size = config.integer("intermediate_size");
  c->num_hidden_layers = config.integer("num_hidden_layers", 1, 4096);
  c->num_attention_heads = config.integer("num_attention_heads", 1, 65536);
  c->num_key_value_heads = config.integer_or("num_key_value_heads", c->num_attention_heads, 1, 65536);
  c->head_dim = config.integer_or("head_dim", c->hidden_size / c->num_attention_heads, 2, 65536);
  c->max_position_embeddings = config.integer_or("max_position_embeddings", 2048);
  c->rms_norm_eps = config.epsilon_or("rms_norm_eps", 1e-6);
  c->hidden_act = config.activation_or("hidden_act", "silu");
  c->attention_bias = config.boolean_or("attention_bias", false);
  c->mlp_bias = config.boolean_or("mlp_bias", false);
  c->tie_word_embeddings = config.boolean_or("tie_word_embeddings", false);
  c->embedding_multiplier = config.number_or("embedding_multiplier", 1.0);
  c->attention_multiplier = config.number_or("attention_multiplier", 1.0);
  c->residual_multiplier = config.number_or("residual_multiplier", 1.0);
  c->logits_scaling = config.number_or("logits_scaling", 1.0);
  if (c->logits_scaling == 0.0) config.fail("logits_scaling", "is 0, but divides the logits");
  config.check_heads(c->num_attention_heads, c->num_key_value_heads, c->head_dim);
  c->rope = config.rope(c->head_dim, c->max_position_embeddings);
  c->max_length_limit = nn::rope_context_limit(c->rope);
  return c;
}

Result<Json> config_from_gguf(const weights::Checkpoint& checkpoint) {
  static constexpr model::GgufField kFields[] = {
      {"embedding_scale", "embedding_multiplier"},
      {"attention.scale", "attention_multiplier"},
      {"residual_scale", "residual_multiplier"},
      {"logit_scale", "logits_scaling"},
  };
  TENON_ASSIGN(Json config, model::config_from_gguf(checkpoint, "GraniteForCausalLM", kFields));
  // llama.cpp's default where the file does not say.
  if (!config.contains("attention_multiplier") && config["head_dim"].is_number()) {
    config["attention_multiplier"] = 1.0 / std::sqrt(config["head_dim"].get<double>());
  }
  // GGUF says by the tensors alone whether there are biases.
  config["attention_bias"] = checkpoint.find("blk.0.attn_q.bias") != nullptr;
  config["mlp_bias"] = checkpoint.find("blk.0.ffn_gate.bias") != nullptr;
  return config;
}

}  // namespace tenon::architectures::granite
