// transformers/models/gemma3/configuration_gemma3.py: Gemma3TextConfig.
#include "gemma3.h"
#include "model/gguf_config.h"

namespace tenon::architectures::gemma3 {
namespace {

constexpr double kGlobalTheta = 1000000.0, kLocalTheta = 10000.0;

std::vector<bool> sliding_layers(model::ConfigReader& config, int num_hidden_layers) {
  const int pattern = config.integer_or("sliding_window_pattern", 6);
  config.accept("_sliding_window_pattern");  // transformers writes it back, but does not read it
  const std::vector<std::string> layer_types = config.layer_types(num_hidden_layers);
  std::vector<bool> result;
  for (int layer = 0; layer < num_hidden_layers; ++layer) {
    result.push_back(layer_types.empty() ? (layer + 1) % pattern != 0
                                         : layer_types[static_cast<std::size_t>(layer)] == "sliding_attention");
  }
  return result;
}

// v4: rope_theta with rope_scaling for the global layers, rope_local_base_freq for the sliding ones. v5: one entry of
// rope_parameters for each.
void read_ropes(model::ConfigReader& config, Config& c) {
  config.check_rope_theta(config.has("rope_scaling") ? config.object("rope_scaling")
                                                     : config.object("rope_parameters").object("full_attention"));
  const double global_theta = config.number_or("rope_theta", kGlobalTheta);
  const double local_theta = config.number_or("rope_local_base_freq", kLocalTheta);
  if (local_theta <= 1.0) config.fail("rope_local_base_freq", "must be more than 1");
  config.accept("rope_scaling"), config.accept("rope_parameters");
  if (config.has("rope_scaling")) {
    if (config.has("rope_parameters")) config.fail("rope_scaling", "is given beside rope_parameters: keep one of them");
    const model::ConfigReader scaling = config.object("rope_scaling");
    if (scaling.has("type") && !scaling.has("rope_type")) {
      config.note("rope_scaling is named by \"type\", as in transformers 4, and counts; transformers 5 passes over it");
    }
    c.global_rope = config.object("rope_scaling").rope_entry(c.head_dim, c.max_position_embeddings, global_theta);
    c.local_rope = {
        .rope_theta = local_theta, .head_dim = c.head_dim, .max_position_embeddings = c.max_position_embeddings};
    return;
  }
  model::ConfigReader parameters = config.object("rope_parameters");
  c.global_rope = parameters.object("full_attention").rope_entry(c.head_dim, c.max_position_embeddings, global_theta);
  c.local_rope = parameters.object("sliding_attention").rope_entry(c.head_dim, c.max_position_embeddings, local_theta);
}

}  // namespace

std::shared_ptr<model::ModelConfig> parse_config(model::ConfigReader& config) {
  auto c = std::make_shared<Config>();
  c->vocab_size = config.integer_or("vocab_size", 262208);
  c->hidden_size = config.integer("hidden_size");
  c->intermediate_size = config.integer("intermediate_size");
  c->num_hidden_layers = config.integer("num_hidden_layers", 1, 4096);
  c->num_attention_heads = config.integer_or("num_attention_heads", 8, 1, 65536);
  c->num_key_value_heads = config.key_value_heads(4);
  c->head_dim = config.integer_not_null_or("head_dim", 256, 2, 65536);
  c->max_position_embeddings = config.integer_or("max_position_embeddings", 131072);
  c->rms_norm_eps = config.epsilon_or("rms_norm_eps", 1e-6);
  c->hidden_activation = config.activation_or("hidden_activation", "gelu_pytorch_tanh");
  c->attention_bias = config.boolean_or("attention_bias", false);
  c->tie_word_embeddings = config.boolean_or("tie_word_embeddings", true);
  c->query_pre_attn_scalar = config.number_or("query_pre_attn_scalar", 256.0);
  if (c->query_pre_attn_scalar <= 0.0) config.fail("query_pre_attn_scalar", "must be more than 0");
  c->final_logit_softcapping = config.optional_number("final_logit_softcapping").value_or(0.0);
  if (c->final_logit_softcapping <= 0.0 && config.has("final_logit_softcapping")) {
    config.fail("final_logit_softcapping", "must be more than 0, or null for none");
  }
  if (config.optional_number("attn_logit_softcapping")) {
    config.note(
        "attn_logit_softcapping has no effect: transformers' Gemma 3 keeps it but never applies it to the scores, and "
        "neither does Tenon");
  }
  if (config.boolean_or("use_bidirectional_attention", false)) {
    config.fail("use_bidirectional_attention", "is true, but text generation needs causal attention",
                ErrorCode::kUnsupported);
  }
  c->slides = sliding_layers(config, c->num_hidden_layers);
  c->sliding_window = config.integer_or("sliding_window", 4096);
  config.check_heads(c->num_attention_heads, c->num_key_value_heads, c->head_dim);
  read_ropes(config, *c);
  return c;
}

Result<Json> config_from_gguf(const weights::Checkpoint& checkpoint) {
  static constexpr model::GgufField kFields[] = {
      {"attention.sliding_window", "sliding_window"},
      {"attention.sliding_window_pattern", "sliding_window_pattern"},
      {"rope.freq_base_swa", ""},
      {"final_logit_softcapping", "final_logit_softcapping"},
      {"attn_logit_softcapping", "attn_logit_softcapping"},
  };
  TENON_ASSIGN(Json config, model::config_from_gguf(checkpoint, "Gemma3ForCausalLM", kFields));
  // Scaling is that of the global layers.
  Json ropes = Json::object();
  ropes["full_attention"] = config["rope_parameters"];
  ropes["sliding_attention"] = {{"rope_type", "default"}, {"rope_theta", kLocalTheta}};
  if (const Json* theta = model::gguf_value(checkpoint, "rope.freq_base_swa")) {
    ropes["sliding_attention"]["rope_theta"] = *theta;
  }
  config["rope_parameters"] = std::move(ropes);
  // GGUF does not say query_pre_attn_scalar. It is head_dim but for the 27B model, told by its 62 layers (as llama.cpp
  // does), where it is hidden_size / num_attention_heads.
  const auto integer = [&](const char* field) {
    return config.contains(field) && config[field].is_number_integer() ? config[field].get<std::int64_t>() : 0;
  };
  const std::int64_t heads = integer("num_attention_heads");
  config["query_pre_attn_scalar"] = integer("num_hidden_layers") == 62 && heads > 0 ? integer("hidden_size") / heads
                                    : integer("head_dim") > 0                       ? integer("head_dim")
                                                                                    : 256;
  return config;
}

}  // namespace tenon::architectures::gemma3
