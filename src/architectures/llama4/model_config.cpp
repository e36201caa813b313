// transformers/models/llama4/configuration_llama4.py
#include <algorithm>
#include <array>

#include "llama4.h"
#include "model/gguf_config.h"

namespace tenon::architectures::llama4 {
namespace {

// What each layer is: no_rope_layers (1: it rotates) or every so many layers not; chunks where it rotates, unless
// layer_types says otherwise; experts in moe_layers, or every so many layers.
std::vector<Config::Layer> layers(model::ConfigReader& config, int num_hidden_layers) {
  const auto count = static_cast<std::size_t>(num_hidden_layers);
  // null: no chunks.
  const int chunk = config.states("attention_chunk_size") ? config.optional_integer("attention_chunk_size").value_or(0)
                                                          : config.integer_or("attention_chunk_size", 8192);
  const int interval = config.integer_or("no_rope_layer_interval", 4);
  const int step = config.integer_or("interleave_moe_layer_step", 1, 0);
  const std::vector<double> rotates = config.numbers("no_rope_layers");
  const std::vector<double> moe_layers = config.numbers("moe_layers");
  const std::vector<std::string> types = config.strings("layer_types");
  if (!rotates.empty() && rotates.size() < count) config.fail("no_rope_layers", "has too few entries");
  if (!types.empty() && types.size() != count) config.fail("layer_types", "has not an entry a layer");
  for (const std::string& type : types) {
    if (type == "chunked_attention" || type == "full_attention") continue;
    config.fail("layer_types", "holds \"" + type + "\"; known are chunked_attention and full_attention",
                ErrorCode::kUnsupported);
  }
  std::vector<Config::Layer> result(count);
  for (std::size_t i = 0; i < count; ++i) {
    const int number = static_cast<int>(i) + 1;
    Config::Layer& layer = result[i];
    layer.rotates = rotates.size() < count ? number % interval != 0 : rotates[i] != 0.0;
    const bool chunked = types.size() != count ? layer.rotates : types[i] == "chunked_attention";
    layer.chunk = chunked ? chunk : 0;
    layer.has_experts = config.has("moe_layers") ? std::ranges::find(moe_layers, number - 1) != moe_layers.end()
                                                 : step > 0 && number % step == 0;
  }
  return result;
}

}  // namespace

std::shared_ptr<model::ModelConfig> parse_config(model::ConfigReader& config) {
  auto c = std::make_shared<Config>();
  c->vocab_size = config.integer_or("vocab_size", 202048);
  c->hidden_size = config.integer_or("hidden_size", 5120);
  c->intermediate_size = config.integer_or("intermediate_size", 8192);
  c->intermediate_size_mlp = config.integer_or("intermediate_size_mlp", 16384);
  c->num_hidden_layers = config.integer_or("num_hidden_layers", 48, 1, 4096);
  c->num_attention_heads = config.integer_or("num_attention_heads", 40, 1, 65536);
  c->num_key_value_heads = config.key_value_heads(8);
  c->head_dim = config.integer_not_null_or("head_dim", 128, 2, 65536);
  c->max_position_embeddings = config.integer_or("max_position_embeddings", 131072);
  c->rms_norm_eps = config.epsilon_or("rms_norm_eps", 1e-5);
  c->hidden_act = config.activation_or("hidden_act", "silu");
  c->attention_bias = config.boolean_or("attention_bias", false);
  c->use_qk_norm = config.boolean_or("use_qk_norm", true);
  c->num_local_experts = config.integer_or("num_local_experts", 16, 1, 65536);
  c->num_experts_per_tok = config.integer_or("num_experts_per_tok", 1, 1, c->num_local_experts);
  c->attn_temperature_tuning = config.boolean_or("attn_temperature_tuning", true);
  c->floor_scale = config.number_or("floor_scale", 8192);
  if (c->floor_scale <= 0.0) config.fail("floor_scale", "must be positive"), c->floor_scale = 1.0;
  c->attn_scale = config.number_or("attn_scale", 0.1);
  c->tie_word_embeddings = config.boolean_or("tie_word_embeddings", false);
  c->layers = layers(config, c->num_hidden_layers);
  config.accept("router_jitter_noise");  // of training
  config.accept("vision_config");        // of the part that sees images, which is not run
  config.accept("boi_token_id");
  config.accept("eoi_token_id");
  config.check_heads(c->num_attention_heads, c->num_key_value_heads, c->head_dim);
  c->rope = config.rope(c->head_dim, c->max_position_embeddings, 500000.0);
  c->max_length_limit = nn::rope_context_limit(c->rope);
  return c;
}

Result<Json> config_from_gguf(const weights::Checkpoint& checkpoint) {
  static constexpr std::array kFields = std::to_array<model::GgufField>({
      {"feed_forward_length", "intermediate_size_mlp"},
      {"expert_feed_forward_length", "intermediate_size"},
      {"expert_count", "num_local_experts"},
      {"expert_used_count", "num_experts_per_tok"},
      {"interleave_moe_layer_step", "interleave_moe_layer_step"},
      {"attention.sliding_window", ""},
  });
  TENON_ASSIGN(Json config, model::config_from_gguf(checkpoint, "Llama4ForCausalLM", kFields));
  // What llama.cpp does: 128 experts are Maverick, which has no norm of queries and keys; a window of 0 is no chunks.
  config["use_qk_norm"] = config.value("num_local_experts", 0) != 128;
  config["attention_bias"] = checkpoint.find("blk.0.attn_q.bias") != nullptr;
  const Json* window = model::gguf_value(checkpoint, "attention.sliding_window");
  if (window != nullptr && *window == 0) {
    return unsupported("the GGUF file has the key attention.sliding_window of 0: a Llama 4 without chunks is not read");
  }
  return config;
}

}  // namespace tenon::architectures::llama4
