// transformers/models/cohere/configuration_cohere.py
#include <algorithm>

#include "cohere.h"
#include "model/gguf_config.h"

namespace tenon::architectures::cohere {

std::shared_ptr<model::ModelConfig> parse_config(model::ConfigReader& config) {
  auto c = std::make_shared<Config>();
  c->vocab_size = config.integer_or("vocab_size", 256000);
  c->hidden_size = config.integer_or("hidden_size", 8192);
  c->intermediate_size = config.integer_or("intermediate_size", 22528);
  c->num_hidden_layers = config.integer_or("num_hidden_layers", 40, 1, 4096);
  c->num_attention_heads = config.integer_or("num_attention_heads", 64, 1, 65536);
  c->num_key_value_heads = config.integer_or("num_key_value_heads", c->num_attention_heads, 1, 65536);
  c->head_dim = config.integer_or("head_dim", c->hidden_size / c->num_attention_heads, 2, 65536);
  c->max_position_embeddings = config.integer_or("max_position_embeddings", 8192);
  c->layer_norm_eps = config.epsilon_or("layer_norm_eps", 1e-5);
  c->hidden_act = config.activation_or("hidden_act", "silu");
  c->attention_bias = config.boolean_or("attention_bias", false);
  c->use_qk_norm = config.boolean_or("use_qk_norm", false);
  c->tie_word_embeddings = config.boolean_or("tie_word_embeddings", true);
  c->logit_scale = config.number_or("logit_scale", 0.0625);
  config.check_heads(c->num_attention_heads, c->num_key_value_heads, c->head_dim);
  c->rope = config.rope(c->head_dim, c->max_position_embeddings, 500000.0);
  // The first Command R was trained for more than its max_position_embeddings, and says so in this field.
  const int model_max_length = config.optional_integer("model_max_length").value_or(0);
  c->max_length_limit = std::max(nn::rope_context_limit(c->rope), model_max_length);
  return c;
}

Result<Json> config_from_gguf(const weights::Checkpoint& checkpoint) {
  static constexpr model::GgufField kFields[] = {
      {"attention.layer_norm_epsilon", "layer_norm_eps"},
      {"logit_scale", "logit_scale"},
  };
  TENON_ASSIGN(Json config, model::config_from_gguf(checkpoint, "CohereForCausalLM", kFields));
  // llama.cpp multiplies by nothing where the file does not say it.
  if (!config.contains("logit_scale")) config["logit_scale"] = 1.0;
  // GGUF says by the tensors alone whether there are biases, and norms of q and k.
  config["attention_bias"] = checkpoint.find("blk.0.attn_q.bias") != nullptr;
  config["use_qk_norm"] = checkpoint.find("blk.0.attn_q_norm.weight") != nullptr;
  return config;
}

}  // namespace tenon::architectures::cohere
