// transformers/models/olmo3/configuration_olmo3.py
#include "model/gguf_config.h"
#include "olmo3.h"

namespace tenon::architectures::olmo3 {
namespace {

constexpr double kTheta = 500000.0;

// Three layers of four slide unless layer_types says otherwise.
std::vector<int> windows(model::ConfigReader& config, int num_hidden_layers) {
  const int sliding_window = config.integer_or("sliding_window", 4096);
  const std::vector<std::string> layer_types = config.layer_types(num_hidden_layers);
  std::vector<int> result;
  for (int layer = 0; layer < num_hidden_layers; ++layer) {
    const bool slides = layer_types.empty() ? (layer + 1) % 4 != 0
                                            : layer_types[static_cast<std::size_t>(layer)] == "sliding_attention";
    result.push_back(slides ? sliding_window : 0);
  }
  return result;
}

// v4: rope_theta and rope_scaling, which is that of the full layers. v5: one entry of rope_parameters for each type of
// layer. As transformers 5 reads a v4 config, rope_theta is the base of the full layers and the sliding ones have the
// default; both are 500000 in the published models.
void read_ropes(model::ConfigReader& config, Config& c) {
  config.check_rope_theta(config.has("rope_scaling") ? config.object("rope_scaling")
                                                     : config.object("rope_parameters").object("full_attention"));
  const double full_theta = config.number_or("rope_theta", kTheta);
  if (full_theta != kTheta && !config.has("rope_parameters")) {
    config.note("rope_theta counts for the full layers; the sliding ones rotate by 500000, as in transformers 5");
  }
  config.accept("rope_scaling"), config.accept("rope_parameters");
  if (config.has("rope_scaling")) {
    if (config.has("rope_parameters")) config.fail("rope_scaling", "is given beside rope_parameters: keep one of them");
    const model::ConfigReader scaling = config.object("rope_scaling");
    if (scaling.has("type") && !scaling.has("rope_type")) {
      config.note("rope_scaling is named by \"type\", as in transformers 4, and counts; transformers 5 passes over it");
    }
    c.full_rope = config.object("rope_scaling").rope_entry(c.head_dim, c.max_position_embeddings, full_theta);
    c.sliding_rope = {
        .rope_theta = kTheta, .head_dim = c.head_dim, .max_position_embeddings = c.max_position_embeddings};
    return;
  }
  model::ConfigReader parameters = config.object("rope_parameters");
  c.full_rope = parameters.object("full_attention").rope_entry(c.head_dim, c.max_position_embeddings, full_theta);
  c.sliding_rope = parameters.object("sliding_attention").rope_entry(c.head_dim, c.max_position_embeddings, kTheta);
}

}  // namespace

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
  c->rms_norm_eps = config.epsilon_or("rms_norm_eps", 1e-5);
  c->hidden_act = config.activation_or("hidden_act", "silu");
  c->attention_bias = config.boolean_or("attention_bias", false);
  c->tie_word_embeddings = config.boolean_or("tie_word_embeddings", false);
  c->windows = windows(config, c->num_hidden_layers);
  config.check_heads(c->num_attention_heads, c->num_key_value_heads, c->head_dim);
  read_ropes(config, *c);
  c->max_length_limit = nn::rope_context_limit(c->full_rope);
  return c;
}

// Also OLMo 2, whose files name no window: all layers are full.
Result<Json> config_from_gguf(const weights::Checkpoint& checkpoint) {
  static constexpr model::GgufField kFields[] = {
      {"attention.sliding_window", "sliding_window"},
      {"attention.sliding_window_pattern", ""},  // below
      {"rope.freq_base_swa", ""},
  };
  TENON_ASSIGN(Json config, model::config_from_gguf(checkpoint, "Olmo3ForCausalLM", kFields));
  config["attention_bias"] = checkpoint.find("blk.0.attn_q.bias") != nullptr;
  const bool windowed = config.contains("sliding_window") && config["sliding_window"] != 0;
  if (!windowed) config.erase("sliding_window");
  const Json* pattern = model::gguf_value(checkpoint, "attention.sliding_window_pattern");
  const Json* layers = model::gguf_value(checkpoint, "block_count");
  // A layer's entry of the pattern is whether it slides; without one, llama.cpp too takes every fourth layer as full.
  // A file that lies about block_count gets no layer types, and fails at num_hidden_layers.
  const std::int64_t count = layers != nullptr && layers->is_number_integer() ? layers->get<std::int64_t>() : 0;
  if (windowed && pattern != nullptr && pattern->is_array()) {
    config["layer_types"] = Json::array();
    for (const Json& slides : *pattern) {
      if (!slides.is_boolean())
        return invalid("GGUF metadata key olmo2.attention.sliding_window_pattern is no list of bools");
      config["layer_types"].push_back(slides.get<bool>() ? "sliding_attention" : "full_attention");
    }
  } else if (!windowed && count > 0 && count <= 4096) {
    config["layer_types"] = std::vector<std::string>(static_cast<std::size_t>(count), "full_attention");
  }
  // Scaling is that of the full layers; one base serves both unless the file says another for the sliding ones.
  Json ropes = Json::object();
  ropes["sliding_attention"] = {{"rope_type", "default"}};
  for (const char* key : {"rope.freq_base", "rope.freq_base_swa"}) {
    if (const Json* theta = model::gguf_value(checkpoint, key)) ropes["sliding_attention"]["rope_theta"] = *theta;
  }
  ropes["full_attention"] = config["rope_parameters"];
  config["rope_parameters"] = std::move(ropes);
  return config;
}

}  // namespace tenon::architectures::olmo3
