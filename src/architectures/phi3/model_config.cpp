// transformers/models/phi3/configuration_phi3.py
#include <cmath>

#include "model/gguf_config.h"
#include "phi3.h"

namespace tenon::architectures::phi3 {
namespace {

void check_factors(model::ConfigReader& rope, const char* field, const std::vector<double>& factors, int rotated) {
  if (factors.size() * 2 != static_cast<std::size_t>(rotated)) {
    rope.fail(field, "has " + std::to_string(factors.size()) + " entries, but the " + std::to_string(rotated) +
                         " rotated dims of each head need half of it");
  }
  for (const double factor : factors) {
    if (factor <= 0.0) rope.fail(field, "holds a factor that is not more than 0");
  }
}

// v4: rope_theta and partial_rotary_factor beside rope_scaling; v5: all of it in rope_parameters.
void read_rope(model::ConfigReader& config, Config& c) {
  model::ConfigReader rope = config.object(config.has("rope_scaling") ? "rope_scaling" : "rope_parameters");
  config.check_rope_theta(rope);
  const double theta = config.number_or("rope_theta", 10000.0);
  const double whole = config.number_or("partial_rotary_factor", 1.0);
  // transformers lets this field, or its default, win over one within rope_parameters.
  c.original_max_position_embeddings = config.integer_or("original_max_position_embeddings", 4096, 2);
  if (config.has("rope_scaling") && config.has("rope_parameters")) {
    config.fail("rope_scaling", "is given beside rope_parameters: keep one of them");
  }
  rope.accept("original_max_position_embeddings");

  const double part = rope.number_or("partial_rotary_factor", whole);
  const int rotated = part > 0.0 && part <= 1.0 ? static_cast<int>(c.head_dim * part) : 0;
  if (rotated < 2 || rotated % 2 != 0) {
    rope.fail("partial_rotary_factor",
              "must leave an even number of each head's " + std::to_string(c.head_dim) + " dims to rotate");
  }
  c.rope.head_dim = rotated >= 2 && rotated % 2 == 0 && rotated <= c.head_dim ? rotated : c.head_dim;
  c.rope.max_position_embeddings = c.max_position_embeddings;
  c.rope.rope_theta = rope.number_or("rope_theta", theta);
  if (c.rope.rope_theta <= 1.0) rope.fail("rope_theta", "must be more than 1"), c.rope.rope_theta = 10000.0;

  const std::string old_name = rope.has("type") ? rope.string_or("type", "default") : "default";
  const std::string type = rope.string_or("rope_type", old_name);
  if (type == "default") return;
  // "su" and "yarn" are what the first checkpoints called it.
  if (type != "longrope" && type != "su" && type != "yarn") {
    rope.fail(rope.has("rope_type") ? "rope_type" : "type", "is \"" + type + "\"; known are default and longrope",
              ErrorCode::kUnsupported);
    return;
  }
  const std::string original = std::to_string(c.original_max_position_embeddings);
  config.note(
      "LongRoPE: a context of more than " + original +
      " tokens takes long_factor for every prompt, as in vLLM; transformers takes short_factor for those of up to " +
      original + ", as --max-length " + original + " does");
  c.short_factor = rope.numbers("short_factor");
  c.long_factor = rope.numbers("long_factor");
  check_factors(rope, "short_factor", c.short_factor, c.rope.head_dim);
  check_factors(rope, "long_factor", c.long_factor, c.rope.head_dim);
  const double factor = rope.optional_number("factor").value_or(static_cast<double>(c.max_position_embeddings) /
                                                                c.original_max_position_embeddings);
  const double by_length =
      factor <= 1.0 ? 1.0 : std::sqrt(1.0 + std::log(factor) / std::log(c.original_max_position_embeddings));
  c.attention_factor = rope.optional_number("attention_factor").value_or(by_length);
}

Result<Json> factors_of(const weights::Checkpoint& checkpoint, const std::string& name) {
  const tensor::TensorView* tensor = checkpoint.find(name);
  if (tensor == nullptr) return Json(nullptr);
  if (tensor->dtype != tensor::DType::kF32 || tensor->shape.size() != 1 || tensor->data == nullptr) {
    return invalid("tensor " + name + " must be a vector of F32");
  }
  std::vector<float> values(static_cast<std::size_t>(tensor->shape[0]));
  tensor::to_float(tensor->dtype, tensor->data, tensor->shape[0], values.data());
  Json factors = Json::array();
  for (const float value : values) factors.push_back(static_cast<double>(value));
  return factors;
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
  c->max_position_embeddings = config.integer_or("max_position_embeddings", 4096);
  c->rms_norm_eps = config.epsilon_or("rms_norm_eps", 1e-5);
  c->hidden_act = config.activation_or("hidden_act", "silu");
  c->tie_word_embeddings = config.boolean_or("tie_word_embeddings", false);
  c->sliding_window = config.optional_integer("sliding_window").value_or(0);
  if (config.boolean_or("attention_bias", false)) {
    config.fail("attention_bias", "is true, but this architecture has no biases", ErrorCode::kUnsupported);
  }
  config.accept("full_attn_mod"), config.accept("interpolate_factor");  // of Phi-4-mini; transformers reads neither
  config.check_heads(c->num_attention_heads, c->num_key_value_heads, c->head_dim);
  read_rope(config, *c);
  return c;
}

Result<Json> config_from_gguf(const weights::Checkpoint& checkpoint) {
  static constexpr model::GgufField kFields[] = {
      {"attention.sliding_window", "sliding_window"},
      {"rope.scaling.attn_factor", ""},  // below
      {"rope.dimension_count", "partial_rotary_factor"},
  };
  TENON_ASSIGN(Json config, model::config_from_gguf(checkpoint, "Phi3ForCausalLM", kFields));
  if (config.contains("sliding_window") && config["sliding_window"] == 0) config["sliding_window"] = nullptr;
  if (const Json* length = model::gguf_value(checkpoint, "rope.scaling.original_context_length")) {
    config["original_max_position_embeddings"] = *length;
  }
  Json& rope = config["rope_parameters"];
  TENON_ASSIGN(Json short_factor, factors_of(checkpoint, "rope_factors_short.weight"));
  TENON_ASSIGN(Json long_factor, factors_of(checkpoint, "rope_factors_long.weight"));
  if (short_factor.is_null() && long_factor.is_null()) return config;
  rope["rope_type"] = "longrope";
  rope["short_factor"] = std::move(short_factor);
  rope["long_factor"] = std::move(long_factor);
  if (const Json* factor = model::gguf_value(checkpoint, "rope.scaling.attn_factor"))
    rope["attention_factor"] = *factor;
  return config;
}

}  // namespace tenon::architectures::phi3
