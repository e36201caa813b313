// transformers/models/gpt_oss/configuration_gpt_oss.py
#include <array>

#include "gpt_oss.h"
#include "model/gguf_config.h"

namespace tenon::architectures::gpt_oss {
namespace {

// The window of each layer. Without layer_types every other layer slides, the first among them.
std::vector<int> windows(model::ConfigReader& config, int num_hidden_layers) {
  const int sliding_window =
      config.has("sliding_window") ? config.integer("sliding_window") : config.integer_or("sliding_window", 128);
  const std::vector<std::string> layer_types = config.layer_types(num_hidden_layers);
  std::vector<int> result(static_cast<std::size_t>(num_hidden_layers), 0);
  for (std::size_t i = 0; i < result.size(); ++i) {
    const bool slides = layer_types.empty() ? i % 2 == 0 : layer_types[i] == "sliding_attention";
    if (slides) result[i] = sliding_window;
  }
  return result;
}

// A config that says nothing of rope has YaRN. It is noted field by field, as what was understood.
nn::RopeConfig rope(model::ConfigReader& config, int head_dim, int max_position_embeddings) {
  constexpr double kTheta = 150000.0;
  if (config.has("rope_parameters") || config.has("rope_scaling")) {
    return config.rope(head_dim, max_position_embeddings, kTheta);
  }
  config.accept("rope_scaling");
  const double theta = config.number_or("rope_theta", kTheta);
  if (theta <= 1.0) config.fail("rope_theta", "must be more than 1");
  model::ConfigReader defaults = config.object("rope_parameters");
  defaults.string_or("rope_type", "yarn");
  return {.rope_type = nn::RopeType::kYarn,
          .rope_theta = theta,
          .head_dim = head_dim,
          .max_position_embeddings = max_position_embeddings,
          .factor = defaults.number_or("factor", 32.0),
          .original_max_position_embeddings = defaults.integer_or("original_max_position_embeddings", 4096),
          .truncate = defaults.boolean_or("truncate", false)};
}

}  // namespace

std::shared_ptr<model::ModelConfig> parse_config(model::ConfigReader& config) {
  auto c = std::make_shared<Config>();
  c->vocab_size = config.integer_or("vocab_size", 201088);
  c->hidden_size = config.integer("hidden_size");
  c->intermediate_size = config.integer("intermediate_size");
  c->num_hidden_layers = config.integer("num_hidden_layers", 1, 4096);
  c->num_attention_heads = config.integer("num_attention_heads", 1, 65536);
  c->num_key_value_heads = config.key_value_heads(8);
  c->head_dim = config.integer_not_null_or("head_dim", 64, 2, 65536);
  c->max_position_embeddings = config.integer_or("max_position_embeddings", 131072);
  c->rms_norm_eps = config.epsilon_or("rms_norm_eps", 1e-5);
  c->attention_bias = config.boolean_or("attention_bias", true);
  c->num_local_experts = config.integer_or(config.spelling_of("num_local_experts", "num_experts"), 128, 1, 65536);
  c->num_experts_per_tok = config.integer_or("num_experts_per_tok", 4, 1, c->num_local_experts);
  if (config.integer_or("experts_per_token", c->num_experts_per_tok) != c->num_experts_per_tok) {
    config.fail("experts_per_token", "is not num_experts_per_tok");
  }
  c->swiglu_alpha = config.number_or("swiglu_alpha", 1.702);
  c->swiglu_limit = config.number_or("swiglu_limit", 7.0);
  if (c->swiglu_limit <= 0.0) config.fail("swiglu_limit", "must be positive"), c->swiglu_limit = 7.0;
  config.accept("hidden_act");              // the reference does not read it: the experts' SwiGLU is its own
  config.accept("initial_context_length");  // the same as rope's original_max_position_embeddings
  c->tie_word_embeddings = config.boolean_or("tie_word_embeddings", false);
  c->windows = windows(config, c->num_hidden_layers);
  if (config.has("quantization_config")) {
    model::ConfigReader quantization = config.object("quantization_config");
    const std::string method = quantization.string_or("quant_method", "");
    if (method != "mxfp4") {
      quantization.fail("quant_method", "is \"" + method + "\"; known is mxfp4", ErrorCode::kUnsupported);
    }
    quantization.accept("modules_to_not_convert");  // the tensors say it
  }
  config.check_heads(c->num_attention_heads, c->num_key_value_heads, c->head_dim);
  c->rope = rope(config, c->head_dim, c->max_position_embeddings);
  c->max_length_limit = nn::rope_context_limit(c->rope);
  return c;
}

Result<Json> config_from_gguf(const weights::Checkpoint& checkpoint) {
  static constexpr std::array kFields = std::to_array<model::GgufField>({
      {"expert_count", "num_local_experts"},
      {"expert_used_count", "num_experts_per_tok"},
      {"expert_feed_forward_length", "intermediate_size"},
      {"attention.sliding_window", "sliding_window"},
  });
  TENON_ASSIGN(Json config, model::config_from_gguf(checkpoint, "GptOssForCausalLM", kFields));
  // Not in the file: every gpt-oss has it so, and transformers is the reference.
  Json& rope = config["rope_parameters"];
  if (rope["rope_type"] == "yarn") rope["truncate"] = false;
  return config;
}

}  // namespace tenon::architectures::gpt_oss
