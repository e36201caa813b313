// transformers/models/gpt_neox/configuration_gpt_neox.py
#include "gpt_neox.h"
#include "model/gguf_config.h"

namespace tenon::architectures::gpt_neox {

std::shared_ptr<model::ModelConfig> parse_config(model::ConfigReader& config) {
  auto c = std::make_shared<Config>();
  c->vocab_size = config.integer_or("vocab_size", 50432);
  c->hidden_size = config.integer_or("hidden_size", 6144);
  c->intermediate_size = config.integer_or("intermediate_size", 24576);
  c->num_hidden_layers = config.integer_or("num_hidden_layers", 44, 1, 4096);
  c->num_attention_heads = config.integer_or("num_attention_heads", 64, 1, 65536);
  c->head_dim = c->hidden_size / c->num_attention_heads;
  if (c->hidden_size % c->num_attention_heads != 0 || c->head_dim % 2 != 0) {
    config.fail("num_attention_heads", "must divide hidden_size into heads of an even size");
  }
  c->max_position_embeddings = config.integer_or("max_position_embeddings", 2048);
  c->layer_norm_eps = config.epsilon_or("layer_norm_eps", 1e-5);
  c->hidden_act = config.activation_or("hidden_act", "gelu");
  c->attention_bias = config.boolean_or("attention_bias", true);
  c->use_parallel_residual = config.boolean_or("use_parallel_residual", true);
  c->tie_word_embeddings = config.boolean_or("tie_word_embeddings", false);
  // Before transformers 5 the part of a head that is rotated and the base had names of their own.
  const int rotated = config.rotary_dim(c->head_dim, config.number_or("rotary_pct", 0.25));
  c->rope = config.rope(rotated, c->max_position_embeddings, config.number_or("rotary_emb_base", 10000.0));
  c->max_length_limit = nn::rope_context_limit(c->rope);
  return c;
}

Result<Json> config_from_gguf(const weights::Checkpoint& checkpoint) {
  static constexpr model::GgufField kFields[] = {
      {"attention.layer_norm_epsilon", "layer_norm_eps"},
      {"use_parallel_residual", "use_parallel_residual"},
      {"rope.dimension_count", "partial_rotary_factor"},
  };
  TENON_ASSIGN(Json config, model::config_from_gguf(checkpoint, "GPTNeoXForCausalLM", kFields));
  // Every head has its own key and value.
  for (const char* field : {"num_key_value_heads", "head_dim"}) config.erase(field);
  config["attention_bias"] = checkpoint.find("blk.0.attn_qkv.bias") != nullptr;
  return config;
}

}  // namespace tenon::architectures::gpt_neox
