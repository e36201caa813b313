// transformers/models/lfm2/configuration_lfm2.py
#include <algorithm>
#include <array>

#include "lfm2.h"
#include "model/gguf_config.h"

namespace tenon::architectures::lfm2 {
namespace {

// By layer_types, or full_attn_idxs; without either every layer attends.
std::vector<bool> attends(model::ConfigReader& config, int num_hidden_layers) {
  const auto count = static_cast<std::size_t>(num_hidden_layers);
  const std::vector<std::string> types = config.strings("layer_types");
  const std::vector<double> indices = config.numbers("full_attn_idxs");
  std::vector<bool> result(count, true);
  if (types.empty()) {
    if (!config.has("full_attn_idxs")) return result;
    for (std::size_t i = 0; i < count; ++i) {
      result[i] = std::ranges::find(indices, static_cast<double>(i)) != indices.end();
    }
    return result;
  }
  if (types.size() != count) config.fail("layer_types", "has not an entry a layer");
  for (std::size_t i = 0; i < std::min(count, types.size()); ++i) {
    result[i] = types[i] == "full_attention";
    if (result[i] || types[i] == "conv") continue;
    config.fail("layer_types", "holds \"" + types[i] + "\"; known are full_attention and conv",
                ErrorCode::kUnsupported);
  }
  return result;
}

// The MLP is two thirds of what the config says, times a factor, in whole multiples.
int adjusted(model::ConfigReader& config, int intermediate_size) {
  const double factor = config.number_or("block_ffn_dim_multiplier", 1.0);
  const int multiple = config.integer_or("block_multiple_of", 256);
  if (!config.boolean_or("block_auto_adjust_ff_dim", true)) return intermediate_size;
  const double size = factor * static_cast<int>(2.0 * intermediate_size / 3.0);
  if (size < 1.0 || size > model::ConfigReader::kMaxSize) {
    config.fail("block_ffn_dim_multiplier", "makes the MLP of an impossible size");
    return intermediate_size;
  }
  return (static_cast<int>(size) + multiple - 1) / multiple * multiple;
}

}  // namespace

std::shared_ptr<model::ModelConfig> parse_config(model::ConfigReader& config) {
  auto c = std::make_shared<Config>();
  c->vocab_size = config.integer_or("vocab_size", 65536);
  c->hidden_size = config.integer_or("hidden_size", 2560, 2);
  const int intermediate_size = config.integer_or("intermediate_size", 12288);
  c->intermediate_size = adjusted(config, config.integer_or("block_ff_dim", intermediate_size));
  c->num_hidden_layers = config.integer_or("num_hidden_layers", 32, 1, 4096);
  c->num_attention_heads = config.integer_or("num_attention_heads", 32, 1, 65536);
  c->num_key_value_heads = config.key_value_heads(8);
  c->head_dim = config.integer_or("head_dim", c->hidden_size / c->num_attention_heads, 2, 65536);
  c->max_position_embeddings = config.integer_or("max_position_embeddings", 128000);
  c->norm_eps = config.epsilon_or("norm_eps", 1e-5);
  c->conv_L_cache = config.integer_or("conv_L_cache", 3, 1, 64);
  c->conv_bias = config.boolean_or("conv_bias", false);
  const bool tied = config.boolean_or("tie_word_embeddings", true);
  c->tie_word_embeddings = config.boolean_or("tie_embedding", tied);
  c->attends = attends(config, c->num_hidden_layers);
  if (c->hidden_size % 2 != 0) config.fail("hidden_size", "must be even");
  // The reference does not read these, which say the same again or are of training.
  for (const std::string_view field :
       {"block_dim", "block_mlp_init_scale", "block_norm_eps", "block_out_init_scale", "block_use_swiglu",
        "block_use_xavier_init", "conv_dim", "conv_dim_out", "conv_use_xavier_init", "num_heads", "use_pos_enc"}) {
    config.accept(field);
  }
  config.check_heads(c->num_attention_heads, c->num_key_value_heads, c->head_dim);
  c->rope = config.rope(c->head_dim, c->max_position_embeddings, 1000000.0);
  c->max_length_limit = nn::rope_context_limit(c->rope);
  return c;
}

Result<Json> config_from_gguf(const weights::Checkpoint& checkpoint) {
  static constexpr std::array kFields = std::to_array<model::GgufField>({
      {"attention.layer_norm_rms_epsilon", "norm_eps"},
      {"shortconv.l_cache", "conv_L_cache"},
  });
  TENON_ASSIGN(Json config, model::config_from_gguf(checkpoint, "Lfm2ForCausalLM", kFields));
  config.erase("rms_norm_eps");
  config["block_auto_adjust_ff_dim"] = false;  // the length in the file is the MLP's own
  // A list, of 0 where a layer convolves.
  const Json heads = config.value("num_key_value_heads", Json());
  if (!heads.is_array()) return invalid("GGUF metadata key lfm2.attention.head_count_kv is not a list of layers");
  Json types = Json::array();
  config["conv_bias"] = false;
  for (const Json& count : heads) {
    const bool convolves = count == 0;
    const std::string bias = "blk." + std::to_string(types.size()) + ".shortconv.conv.bias";
    if (checkpoint.find(bias) != nullptr) config["conv_bias"] = true;
    types.push_back(convolves ? "conv" : "full_attention");
    if (!convolves) config["num_key_value_heads"] = count;
  }
  config["layer_types"] = std::move(types);
  return config;
}

}  // namespace tenon::architectures::lfm2
