// transformers/models/qwen3/configuration_qwen3.py
#include "model/gguf_config.h"
#include "qwen3.h"

namespace tenon::architectures::qwen3 {
namespace {

// The window of each layer. sliding_window counts only with use_sliding_window; layer_types, where it is given, says
// which layers slide, else those from max_window_layers on.
std::vector<int> windows(model::ConfigReader& config, int num_hidden_layers) {
  const bool use_sliding_window = config.boolean_or("use_sliding_window", false);
  const int sliding_window = config.has("sliding_window") || !use_sliding_window
                                 ? config.optional_integer("sliding_window").value_or(0)
                                 : config.integer_or("sliding_window", 4096);
  const int max_window_layers = config.integer_or("max_window_layers", 28, 0);
  const std::vector<std::string> layer_types = config.layer_types(num_hidden_layers);
  std::vector<int> result(static_cast<std::size_t>(num_hidden_layers), 0);
  for (int layer = 0; layer < num_hidden_layers; ++layer) {
    const auto i = static_cast<std::size_t>(layer);
    const bool slides =
        layer_types.empty() ? use_sliding_window && layer >= max_window_layers : layer_types[i] == "sliding_attention";
    if (slides) result[i] = sliding_window;
    if (slides && (!use_sliding_window || sliding_window == 0)) {
      config.fail("layer_types",
                  "has sliding layers, but use_sliding_window is not set or sliding_window is not given");
    }
  }
  return result;
}

}  // namespace

std::shared_ptr<model::ModelConfig> parse_config(model::ConfigReader& config) {
  auto c = std::make_shared<Config>();
  c->vocab_size = config.integer("vocab_size");
  c->hidden_size = config.integer("hidden_size");
  c->intermediate_size = config.integer("intermediate_size");
  c->num_hidden_layers = config.integer("num_hidden_layers", 1, 4096);
  c->num_attention_heads = config.integer("num_attention_heads", 1, 65536);
  c->num_key_value_heads = config.key_value_heads(32, c->num_attention_heads);
  c->head_dim = config.integer_not_null_or("head_dim", 128, 2, 65536);
  c->max_position_embeddings = config.integer_or("max_position_embeddings", 32768);
  c->rms_norm_eps = config.epsilon_or("rms_norm_eps", 1e-6);
  c->hidden_act = config.activation_or("hidden_act", "silu");
  c->attention_bias = config.boolean_or("attention_bias", false);
  c->tie_word_embeddings = config.boolean_or("tie_word_embeddings", false);
  c->windows = windows(config, c->num_hidden_layers);
  config.check_heads(c->num_attention_heads, c->num_key_value_heads, c->head_dim);
  c->rope = config.rope(c->head_dim, c->max_position_embeddings);
  c->max_length_limit = nn::rope_context_limit(c->rope);
  return c;
}

Result<Json> config_from_gguf(const weights::Checkpoint& checkpoint) {
  static constexpr model::GgufField kFields[] = {
      {"pooling_type", ""},  // of the embedding models: what is done with the last layer, not how it is computed
  };
  TENON_ASSIGN(Json config, model::config_from_gguf(checkpoint, "Qwen3ForCausalLM", kFields));
  // GGUF says by the tensors alone whether there are biases.
  config["attention_bias"] = checkpoint.find("blk.0.attn_q.bias") != nullptr;
  return config;
}

}  // namespace tenon::architectures::qwen3
