// transformers/models/gemma2/configuration_gemma2.py: Gemma2Config.
#include "gemma2.h"
#include "model/gguf_config.h"

namespace tenon::architectures::gemma2 {
namespace {

std::vector<bool> sliding_layers(model::ConfigReader& config, int num_hidden_layers) {
  const std::vector<std::string> layer_types = config.layer_types(num_hidden_layers);
  std::vector<bool> result;
  for (int layer = 0; layer < num_hidden_layers; ++layer) {
    result.push_back(layer_types.empty() ? layer % 2 == 0
                                         : layer_types[static_cast<std::size_t>(layer)] == "sliding_attention");
  }
  return result;
}

// Absent: transformers' default; null: none.
double softcap(model::ConfigReader& config, std::string_view field, double otherwise) {
  const double cap =
      config.states(field) ? config.optional_number(field).value_or(0.0) : config.number_or(field, otherwise);
  if (cap < 0.0 || (cap == 0.0 && config.has(field))) config.fail(field, "must be more than 0, or null for none");
  return cap;
}

}  // namespace

std::shared_ptr<model::ModelConfig> parse_config(model::ConfigReader& config) {
  auto c = std::make_shared<Config>();
  c->vocab_size = config.integer_or("vocab_size", 256000);
  c->hidden_size = config.integer("hidden_size");
  c->intermediate_size = config.integer("intermediate_size");
  c->num_hidden_layers = config.integer("num_hidden_layers", 1, 4096);
  c->num_attention_heads = config.integer_or("num_attention_heads", 8, 1, 65536);
  c->num_key_value_heads = config.key_value_heads(4);
  c->head_dim = config.integer_not_null_or("head_dim", 256, 2, 65536);
  c->max_position_embeddings = config.integer_or("max_position_embeddings", 8192);
  c->rms_norm_eps = config.epsilon_or("rms_norm_eps", 1e-6);
  c->hidden_activation = config.activation_or("hidden_activation", "gelu_pytorch_tanh");
  c->attention_bias = config.boolean_or("attention_bias", false);
  c->tie_word_embeddings = config.boolean_or("tie_word_embeddings", true);
  c->query_pre_attn_scalar = config.number_or("query_pre_attn_scalar", 256.0);
  if (c->query_pre_attn_scalar <= 0.0) config.fail("query_pre_attn_scalar", "must be more than 0");
  c->attn_logit_softcapping = softcap(config, "attn_logit_softcapping", 50.0);
  c->final_logit_softcapping = softcap(config, "final_logit_softcapping", 30.0);
  config.accept("hidden_act");  // transformers' Gemma 2 reads hidden_activation alone
  if (config.boolean_or("use_bidirectional_attention", false)) {
    config.fail("use_bidirectional_attention", "is true, but text generation needs causal attention",
                ErrorCode::kUnsupported);
  }
  c->slides = sliding_layers(config, c->num_hidden_layers);
  c->sliding_window = config.integer_or("sliding_window", 4096);
  config.check_heads(c->num_attention_heads, c->num_key_value_heads, c->head_dim);
  c->rope = config.rope(c->head_dim, c->max_position_embeddings);
  c->max_length_limit = nn::rope_context_limit(c->rope);
  return c;
}

Result<Json> config_from_gguf(const weights::Checkpoint& checkpoint) {
  static constexpr model::GgufField kFields[] = {
      {"attention.sliding_window", "sliding_window"},
      {"final_logit_softcapping", "final_logit_softcapping"},
      {"attn_logit_softcapping", "attn_logit_softcapping"},
  };
  TENON_ASSIGN(Json config, model::config_from_gguf(checkpoint, "Gemma2ForCausalLM", kFields));
  // GGUF does not say query_pre_attn_scalar. It is head_dim but for the 27B model, told by its 46 layers (as llama.cpp
  // does), where it is hidden_size / num_attention_heads.
  const auto integer = [&](const char* field) {
    return config.contains(field) && config[field].is_number_integer() ? config[field].get<std::int64_t>() : 0;
  };
  const std::int64_t heads = integer("num_attention_heads");
  config["query_pre_attn_scalar"] = integer("num_hidden_layers") == 46 && heads > 0 ? integer("hidden_size") / heads
                                    : integer("head_dim") > 0                       ? integer("head_dim")
                                                                                    : 256;
  return config;
}

}  // namespace tenon::architectures::gemma2
