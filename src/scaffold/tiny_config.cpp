#include "scaffold/tiny_config.h"

#include <algorithm>
#include <map>
#include <vector>

#include "model/harmless_fields.h"

namespace tenon::scaffold {
namespace {

constexpr int kHeads = 4, kHeadDim = 16;

int integer(const Json& config, const char* field, int otherwise) {
  const auto it = config.find(field);
  return it != config.end() && it->is_number_integer() ? it->get<int>() : otherwise;
}

// The layers that are kept: the first of each kind, and at least two.
std::vector<std::size_t> kept_layers(const Json& config, std::size_t layers) {
  std::vector<std::size_t> kept = {0};
  const auto types = config.find("layer_types");
  if (types != config.end() && types->is_array() && types->size() == layers) {
    std::vector<Json> kinds = {(*types)[0]};
    for (std::size_t i = 1; i < layers; ++i) {
      if (std::ranges::find(kinds, (*types)[i]) != kinds.end()) continue;
      kinds.push_back((*types)[i]);
      kept.push_back(i);
    }
  }
  for (std::size_t i = 1; i < layers && kept.size() < 2; ++i) kept.push_back(i);
  std::ranges::sort(kept);
  return kept;
}

// Lists of factors have one for each pair of the part of a head that is rotated.
void shrink_rope(Json& rope, double partial) {
  for (auto& [name, value] : rope.items()) {
    if (value.is_object()) {
      shrink_rope(value, partial);
    } else if (name == "original_max_position_embeddings") {
      value = 32;
    } else if (value.is_array() && !value.empty() && name.ends_with("_factor")) {
      const Json first = value[0];
      value = Json::array();
      for (int i = 0; i < static_cast<int>(kHeadDim * partial) / 2; ++i) value.push_back(first);
    }
  }
}

double partial_rotary_factor(const Json& config) {
  for (const char* object : {"", "rope_parameters", "rope_scaling"}) {
    const Json& at = *object == 0 ? config : config.contains(object) ? config[object] : config;
    const auto it = at.is_object() ? at.find("partial_rotary_factor") : at.end();
    if (at.is_object() && it != at.end() && it->is_number()) return std::clamp(it->get<double>(), 0.125, 1.0);
  }
  return 1.0;
}

}  // namespace

Json with_text_config_at_top(const Json& config) {
  Json result = config;
  if (const auto text = config.find("text_config"); text != config.end() && text->is_object()) {
    result.erase("text_config");
    for (const auto& [name, value] : text->items()) result[name] = value;
  }
  return result;
}

std::optional<int> tiny_size(std::string_view field) {
  static const std::map<std::string_view, int> sizes = {{"hidden_size", kHeads * kHeadDim},
                                                        {"num_hidden_layers", 2},
                                                        {"num_attention_heads", kHeads},
                                                        {"num_key_value_heads", 2},
                                                        {"head_dim", kHeadDim},
                                                        {"block_ff_dim", 128},
                                                        {"vocab_size", 96},
                                                        {"max_position_embeddings", 128},
                                                        {"original_max_position_embeddings", 32},
                                                        {"attention_chunk_size", 16},
                                                        {"max_window_layers", 1},
                                                        {"sliding_window_pattern", 2},
                                                        {"_sliding_window_pattern", 2},
                                                        {"no_rope_layer_interval", 2},
                                                        {"num_experts", 4},
                                                        {"num_local_experts", 4},
                                                        {"n_routed_experts", 4},
                                                        {"num_experts_per_tok", 2},
                                                        {"experts_per_token", 2},
                                                        {"n_group", 2},
                                                        {"topk_group", 1},
                                                        {"first_k_dense_replace", 1},
                                                        {"q_lora_rank", 32},
                                                        {"kv_lora_rank", 32},
                                                        {"qk_nope_head_dim", 16},
                                                        {"qk_rope_head_dim", 8},
                                                        {"v_head_dim", 16}};
  if (const auto it = sizes.find(field); it != sizes.end()) return it->second;
  if (field.find("intermediate_size") != std::string_view::npos) return 128;
  if (field.find("window") != std::string_view::npos) return 16;
  return std::nullopt;
}

Json tiny_config(const Json& original) {
  const Json config = with_text_config_at_top(original);
  Json tiny = Json::object();
  const int layers = std::max(1, integer(config, "num_hidden_layers", 2));
  const int heads = integer(config, "num_attention_heads", kHeads);
  const std::vector<std::size_t> kept = kept_layers(config, static_cast<std::size_t>(layers));
  for (const auto& [name, value] : config.items()) {
    if (model::is_harmless_field(name) && name != "architectures" && name != "model_type") continue;
    // The parts of a model that see or hear are not run.
    if (value.is_object() && name.ends_with("_config") && name != "quantization_config") continue;
    Json& small = tiny[name] = value;
    const bool number = value.is_number_integer();
    if (name == "num_hidden_layers") {
      small = kept.size();
    } else if (name == "num_key_value_heads" && number) {
      small = value.get<int>() == heads ? kHeads : std::min(value.get<int>(), 2);
    } else if (name == "num_attention_heads") {
      small = kHeads;  // of fewer heads hidden_size would not always be a multiple
    } else if (const auto size = tiny_size(name); size && number) {
      small = std::min(*size, value.get<int>());
    } else if (name.find("layer") != std::string::npos && value.is_array() &&
               value.size() == static_cast<std::size_t>(layers)) {
      small = Json::array();
      for (const std::size_t layer : kept) small.push_back(value[layer]);
    } else if (value.is_object()) {
      shrink_rope(small, partial_rotary_factor(config));
    }
  }
  tiny["bos_token_id"] = 1;
  tiny["eos_token_id"] = 2;
  return tiny;
}

}  // namespace tenon::scaffold
