// transformers/models/smollm3/configuration_smollm3.py
#include "model/gguf_config.h"
#include "smollm3.h"

namespace tenon::architectures::smollm3 {

namespace {

// no_rope_layers holds 1 where a layer is rotated; without it every no_rope_layer_interval-th is not. Only layers that
// are not rotated may slide, unless layer_types says otherwise.
void read_layers(model::ConfigReader& config, Config& c) {
  std::vector<double> no_rope_layers = config.numbers("no_rope_layers");
  const int interval = config.integer_or("no_rope_layer_interval", 4);
  const bool use_sliding_window = config.boolean_or("use_sliding_window", false);
  const int sliding_window = config.optional_integer("sliding_window").value_or(0);
  const std::vector<std::string> layer_types = config.layer_types(c.num_hidden_layers);
  config.accept("max_window_layers");  // left over from Qwen 2's config; transformers' SmolLM 3 does not read it
  const auto layers = static_cast<std::size_t>(c.num_hidden_layers);
  if (!no_rope_layers.empty() && no_rope_layers.size() < layers) {
    config.fail("no_rope_layers", "has " + std::to_string(no_rope_layers.size()) + " entries for " +
                                      std::to_string(layers) + " num_hidden_layers");
    no_rope_layers.clear();
  }
  for (std::size_t layer = 0; layer < layers; ++layer) {
    const bool rotates =
        no_rope_layers.empty() ? (layer + 1) % static_cast<std::size_t>(interval) != 0 : no_rope_layers[layer] != 0.0;
    const bool slides = layer_types.empty() ? use_sliding_window && sliding_window > 0 && !rotates
                                            : layer_types[layer] == "sliding_attention";
    if (slides && (!use_sliding_window || sliding_window == 0)) {
      config.fail("layer_types",
                  "has sliding layers, but use_sliding_window is not set or sliding_window is not given");
    }
    c.rotates.push_back(rotates);
    c.windows.push_back(slides ? sliding_window : 0);
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
  c->num_key_value_heads = config.key_value_heads(4, c->num_attention_heads);
  c->head_dim = config.integer_or("head_dim", c->hidden_size / c->num_attention_heads, 2, 65536);
  c->max_position_embeddings = config.integer_or("max_position_embeddings", 32768);
  c->rms_norm_eps = config.epsilon_or("rms_norm_eps", 1e-6);
  c->hidden_act = config.activation_or("hidden_act", "silu");
  c->attention_bias = config.boolean_or("attention_bias", false);
  c->mlp_bias = config.boolean_or("mlp_bias", false);
  c->tie_word_embeddings = config.boolean_or("tie_word_embeddings", true);
  read_layers(config, *c);
  config.check_heads(c->num_attention_heads, c->num_key_value_heads, c->head_dim);
  c->rope = config.rope(c->head_dim, c->max_position_embeddings, 2000000.0);
  c->max_length_limit = nn::rope_context_limit(c->rope);
  return c;
}

Result<Json> config_from_gguf(const weights::Checkpoint& checkpoint) {
  TENON_ASSIGN(Json config, model::config_from_gguf(checkpoint, "SmolLM3ForCausalLM", {}));
  // llama.cpp takes every fourth layer for NoPE, whatever the model says: the default here too. GGUF says by the
  // tensors alone whether there are biases.
  config["attention_bias"] = checkpoint.find("blk.0.attn_q.bias") != nullptr;
  config["mlp_bias"] = checkpoint.find("blk.0.ffn_gate.bias") != nullptr;
  return config;
}

}  // namespace tenon::architectures::smollm3
