// The rope fields of config.json, as transformers' RotaryEmbeddingConfigMixin standardizes them.
#include <array>

#include "base/json.h"
#include "model/config_reader.h"

namespace tenon::model {
namespace {

using nn::RopeConfig;
using nn::RopeType;

constexpr std::array<std::pair<std::string_view, RopeType>, 5> kRopeTypes = {{
    {"default", RopeType::kDefault},
    {"linear", RopeType::kLinear},
    {"dynamic", RopeType::kDynamic},
    {"llama3", RopeType::kLlama3},
    {"yarn", RopeType::kYarn},
}};

}  // namespace

nn::RopeConfig ConfigReader::rope_entry(int head_dim, int max_position_embeddings, double default_theta) {
  RopeConfig rope;
  rope.head_dim = head_dim;
  rope.max_position_embeddings = max_position_embeddings;
  rope.rope_theta = number_or("rope_theta", default_theta);
  if (rope.rope_theta <= 1.0) fail("rope_theta", "must be more than 1"), rope.rope_theta = default_theta;

  const std::string old_name = has("type") ? string_or("type", "default") : "default";
  const std::string type_name = string_or("rope_type", old_name);
  bool known = false;
  for (const auto& [name, type] : kRopeTypes) {
    if (name == type_name) rope.rope_type = type, known = true;
  }
  if (!known) {
    fail(has("rope_type") ? "rope_type" : "type",
         "is \"" + type_name + "\"; known are default, linear, dynamic, llama3 and yarn", ErrorCode::kUnsupported);
    return rope;
  }
  refuse_partial_rotary();
  // Marks that a conversion left; the trained weights are what they are.
  accept("finetuned");

  if (rope.rope_type == RopeType::kDefault) {
    rope.frequency_factors = numbers("frequency_factors");
    if (!rope.frequency_factors.empty() && rope.frequency_factors.size() * 2 != static_cast<std::size_t>(head_dim)) {
      fail("frequency_factors", "has " + std::to_string(rope.frequency_factors.size()) + " entries, but head_dim " +
                                    std::to_string(head_dim) + " needs half of it");
    }
    return rope;
  }
  if (rope.rope_type == RopeType::kDynamic && head_dim < 4)
    fail("head_dim", "must be at least 4 for dynamic rope scaling");
  const auto original = [&] { return integer_or("original_max_position_embeddings", max_position_embeddings); };
  if (rope.rope_type == RopeType::kYarn) {
    rope.original_max_position_embeddings = original();
    // DeepSeek's way: a factor of null is the ratio of the lengths.
    rope.factor = json_->contains("factor") && !has("factor")
                      ? static_cast<double>(max_position_embeddings) / rope.original_max_position_embeddings
                      : number("factor");
    accept("factor");
    rope.attention_factor = optional_number("attention_factor");
    rope.beta_fast = number_or("beta_fast", 32.0);
    rope.beta_slow = number_or("beta_slow", 1.0);
    if (rope.beta_fast == 0.0) rope.beta_fast = 32.0;
    if (rope.beta_slow == 0.0) rope.beta_slow = 1.0;
    if (rope.beta_fast < 0.0) fail("beta_fast", "must be more than 0");  // its logarithm is taken
    if (rope.beta_slow < 0.0) fail("beta_slow", "must be more than 0");
    rope.mscale = number_or("mscale", 0.0);
    rope.mscale_all_dim = number_or("mscale_all_dim", 0.0);
    rope.truncate = boolean_or("truncate", true);
  } else {
    rope.factor = number("factor");
  }
  if (rope.factor < 1.0) fail("factor", "must be at least 1"), rope.factor = 1.0;
  if (rope.rope_type == RopeType::kLlama3) {
    rope.original_max_position_embeddings = original();
    rope.low_freq_factor = number("low_freq_factor");
    rope.high_freq_factor = number("high_freq_factor");
    if (rope.low_freq_factor <= 0.0 || rope.high_freq_factor < rope.low_freq_factor) {
      fail("high_freq_factor", "must not be less than low_freq_factor, which must be more than 0");
    }
  }
  return rope;
}

void ConfigReader::check_rope_theta(const ConfigReader& entry) {
  const Json *outer = find("rope_theta"), *inner = entry.find("rope_theta");
  if (inner == nullptr) return;
  // One that is not there is no default beside the inner one: the config as it was understood must not contradict
  // itself.
  if (outer == nullptr) return understood("rope_theta", *inner, true);
  if (*outer == *inner) return;
  fail("rope_theta", "is " + outer->dump() + ", but " + entry.path_of("rope_theta") + " is " + inner->dump() +
                         ": keep the one that the model was trained with");
}

nn::RopeConfig ConfigReader::rope(int head_dim, int max_position_embeddings, double default_theta) {
  refuse_partial_rotary();
  // transformers lets an old rope_scaling win over rope_parameters.
  const bool old_scaling = has("rope_scaling");
  if (old_scaling && has("rope_parameters")) {
    fail("rope_scaling", "is given beside rope_parameters: keep one of them");
  }
  accept("rope_scaling");
  accept("rope_parameters");
  ConfigReader entry = object(old_scaling ? "rope_scaling" : "rope_parameters");
  check_rope_theta(entry);
  const double theta = number_or("rope_theta", default_theta);
  return entry.rope_entry(head_dim, max_position_embeddings, theta);
}

}  // namespace tenon::model
