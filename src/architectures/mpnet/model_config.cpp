// transformers/models/mpnet/configuration_mpnet.py
#include "mpnet.h"

namespace tenon::architectures::mpnet {

std::shared_ptr<model::ModelConfig> parse_config(model::ConfigReader& config) {
  auto c = std::make_shared<Config>();
  c->vocab_size = config.integer_or("vocab_size", 30527);
  c->hidden_size = config.integer_or("hidden_size", 768);
  c->intermediate_size = config.integer_or("intermediate_size", 3072);
  c->num_hidden_layers = config.integer_or("num_hidden_layers", 12, 1, 4096);
  c->num_attention_heads = config.integer_or("num_attention_heads", 12, 1, 65536);
  c->head_dim = c->hidden_size / c->num_attention_heads;
  if (c->hidden_size % c->num_attention_heads != 0 || c->head_dim % 2 != 0) {
    config.fail("num_attention_heads", "must divide hidden_size into heads of an even size");
  }
  c->position_rows = config.integer_or("max_position_embeddings", 512, kFirstPosition + 1);
  c->max_position_embeddings = c->position_rows - kFirstPosition;
  c->layer_norm_eps = config.epsilon_or("layer_norm_eps", 1e-12);
  c->hidden_act = config.activation_or("hidden_act", "gelu");
  c->relative_attention_num_buckets = config.integer_or("relative_attention_num_buckets", 32);
  if (c->relative_attention_num_buckets != 32) {
    config.fail("relative_attention_num_buckets", "must be 32: transformers computes 32 whatever it says",
                ErrorCode::kUnsupported);
  }
  config.accept("tie_word_embeddings");  // of the language-modelling head, which is not used
  return c;
}

}  // namespace tenon::architectures::mpnet
