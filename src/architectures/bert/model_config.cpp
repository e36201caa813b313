// transformers/models/bert/configuration_bert.py
#include <array>

#include "bert.h"
#include "model/gguf_config.h"

namespace tenon::architectures::bert {

std::shared_ptr<model::ModelConfig> parse_config(model::ConfigReader& config) {
  auto c = std::make_shared<Config>();
  c->vocab_size = config.integer_or("vocab_size", 30522);
  c->hidden_size = config.integer_or("hidden_size", 768);
  c->intermediate_size = config.integer_or("intermediate_size", 3072);
  c->num_hidden_layers = config.integer_or("num_hidden_layers", 12, 1, 4096);
  c->num_attention_heads = config.integer_or("num_attention_heads", 12, 1, 65536);
  c->head_dim = c->hidden_size / c->num_attention_heads;
  if (c->hidden_size % c->num_attention_heads != 0 || c->head_dim % 2 != 0) {
    config.fail("num_attention_heads", "must divide hidden_size into heads of an even size");
  }
  c->type_vocab_size = config.integer_or("type_vocab_size", 2);
  c->max_position_embeddings = config.integer_or("max_position_embeddings", 512);
  c->layer_norm_eps = config.epsilon_or("layer_norm_eps", 1e-12);
  c->hidden_act = config.activation_or("hidden_act", "gelu");
  if (config.string_or("position_embedding_type", "absolute") != "absolute") {
    config.fail("position_embedding_type", "must be \"absolute\": relative ones are not supported",
                ErrorCode::kUnsupported);
  }
  for (const char* field : {"is_decoder", "add_cross_attention"}) {
    if (config.boolean_or(field, false)) {
      config.fail(field, "is true, but only the encoder is supported", ErrorCode::kUnsupported);
    }
  }
  config.accept("tie_word_embeddings");  // of the language-modelling head, which is not used
  config.accept("pooler_fc_size");       // of other frameworks' poolers
  config.accept("pooler_num_attention_heads");
  config.accept("pooler_num_fc_layers");
  config.accept("pooler_size_per_head");
  config.accept("pooler_type");
  config.accept("directionality");
  return c;
}

Result<Json> config_from_gguf(const weights::Checkpoint& checkpoint) {
  static constexpr std::array kFields = std::to_array<model::GgufField>({
      {"attention.layer_norm_epsilon", "layer_norm_eps"},
      {"attention.causal", ""},  // below
      {"pooling_type", ""},      // what is done with the last layer, not how it is computed
  });
  TENON_ASSIGN(Json config, model::config_from_gguf(checkpoint, "BertModel", kFields));
  const Json* causal = model::gguf_value(checkpoint, "attention.causal");
  if (causal == nullptr || *causal != false) {
    return unsupported("GGUF metadata key bert.attention.causal is not false, but only encoders are supported");
  }
  const tensor::TensorView* types = checkpoint.find("token_types.weight");
  if (types != nullptr && types->shape.size() == 2) config["type_vocab_size"] = types->shape[0];
  // Of decoders. The activation is not in the file: all that llama.cpp runs have gelu, the default.
  for (const char* field : {"num_key_value_heads", "head_dim", "rope_parameters"}) config.erase(field);
  return config;
}

}  // namespace tenon::architectures::bert
