// transformers/models/exaone4/configuration_exaone4.py
#include "exaone4.h"
#include "model/gguf_config.h"

namespace tenon::architectures::exaone4 {
namespace {

// Which layers slide, and which are rotated: all of them if the config has no window, else the sliding ones alone.
void read_layers(model::ConfigReader& config, Config& c) {
  // null, which the 1.2B model says, is no window; a config that does not mention it gets the default.
  const int sliding_window = config.states("sliding_window") ? config.optional_integer("sliding_window").value_or(0)
                                                             : config.integer_or("sliding_window", 4096);
  const bool windowed = sliding_window != 0;
  const std::vector<std::string> layer_types = config.layer_types(c.num_hidden_layers);
  int pattern = 0;
  if (layer_types.empty()) {
    pattern = config.integer_or("sliding_window_pattern", 4);
  } else {
    config.accept("sliding_window_pattern");  // 4, or "LLLG": layer_types has the last word
  }
  for (int layer = 0; layer < c.num_hidden_layers; ++layer) {
    const bool slides = layer_types.empty() ? windowed && (layer + 1) % pattern != 0
                                            : layer_types[static_cast<std::size_t>(layer)] == "sliding_attention";
    if (slides && !windowed) config.fail("layer_types", "has sliding layers, but sliding_window is null");
    c.windows.push_back(slides ? sliding_window : 0);
    c.rotates.push_back(slides || !windowed);
  }
}

}  // namespace

std::shared_ptr<model::ModelConfig> parse_config(model::ConfigReader& config) {
  auto c = std::make_shared<Config>();
  c->vocab_size = config.integer("vocab_size");
  c->hidden_size = config.integer("hidden_size");
  c->intermediate_size = config.integer("intermediate_size");
  c->num_hidden_layers = config.integer("num_hidden_layers", 1, 4096);
  c->num_attention_heads = config.integer("num_attention_heads", 1, 65536);
  c->num_key_value_heads = config.key_value_heads(32);
  c->head_dim = config.integer_or("head_dim", c->hidden_size / c->num_attention_heads, 2, 65536);
  c->max_position_embeddings = config.integer_or("max_position_embeddings", 2048);
  c->rms_norm_eps = config.epsilon_or("rms_norm_eps", 1e-5);
  c->hidden_act = config.activation_or("hidden_act", "silu");
  c->tie_word_embeddings = config.boolean_or("tie_word_embeddings", false);
  read_layers(config, *c);
  config.check_heads(c->num_attention_heads, c->num_key_value_heads, c->head_dim);
  c->rope = config.rope(c->head_dim, c->max_position_embeddings);
  c->max_length_limit = nn::rope_context_limit(c->rope);
  return c;
}

Result<Json> config_from_gguf(const weights::Checkpoint& checkpoint) {
  static constexpr model::GgufField kFields[] = {
      {"attention.sliding_window", "sliding_window"}, {"attention.sliding_window_pattern", ""},  // below
  };
  TENON_ASSIGN(Json config, model::config_from_gguf(checkpoint, "Exaone4ForCausalLM", kFields));
  if (!config.contains("sliding_window") || config["sliding_window"] == 0) {
    config["sliding_window"] = nullptr;
    return config;
  }
  const Json* pattern = model::gguf_value(checkpoint, "attention.sliding_window_pattern");
  if (pattern != nullptr && pattern->is_number_integer()) {
    config["sliding_window_pattern"] = *pattern;
  } else if (pattern != nullptr && pattern->is_array()) {
    config["layer_types"] = Json::array();
    for (const Json& slides : *pattern) {
      if (!slides.is_boolean()) {
        return invalid("GGUF metadata key exaone4.attention.sliding_window_pattern is no list of bools");
      }
      config["layer_types"].push_back(slides.get<bool>() ? "sliding_attention" : "full_attention");
    }
  }
  return config;
}

}  // namespace tenon::architectures::exaone4
