// transformers/models/olmo/configuration_olmo.py
#include <cmath>

#include "model/gguf_config.h"
#include "olmo.h"

namespace tenon::architectures::olmo {

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
  c->hidden_act = config.activation_or("hidden_act", "silu");
  c->attention_bias = config.boolean_or("attention_bias", false);
  c->clip_qkv = config.optional_number("clip_qkv").value_or(0.0);
  // 0 would clip everything to 0, and a negative one has no meaning.
  if (config.has("clip_qkv") && c->clip_qkv <= 0.0) config.fail("clip_qkv", "must be more than 0, or null");
  c->tie_word_embeddings = config.boolean_or("tie_word_embeddings", false);
  config.check_heads(c->num_attention_heads, c->num_key_value_heads, c->head_dim);
  c->rope = config.rope(c->head_dim, c->max_position_embeddings);
  c->max_length_limit = nn::rope_context_limit(c->rope);
  return c;
}

Result<Json> config_from_gguf(const weights::Checkpoint& checkpoint) {
  static constexpr model::GgufField kFields[] = {
      {"attention.clamp_kqv", "clip_qkv"}, {"attention.layer_norm_epsilon", ""},  // below
  };
  TENON_ASSIGN(Json config, model::config_from_gguf(checkpoint, "OlmoForCausalLM", kFields));
  if (config.contains("clip_qkv") && config["clip_qkv"] == 0.0) config.erase("clip_qkv");
  const Json* eps = model::gguf_value(checkpoint, "attention.layer_norm_epsilon");
  if (eps != nullptr && (!eps->is_number() || std::abs(eps->get<double>() - 1e-5) > 1e-9)) {
    return unsupported("GGUF metadata key olmo.attention.layer_norm_epsilon is " + eps->dump() +
                       ", but OlmoForCausalLM has 1e-5");
  }
  config["attention_bias"] = checkpoint.find("blk.0.attn_q.bias") != nullptr;
  return config;
}

}  // namespace tenon::architectures::olmo
