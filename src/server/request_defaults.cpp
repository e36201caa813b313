#include "server/request_defaults.h"

#include <cmath>

namespace tenon::server {
namespace {

Status read(const Json& config, const char* name, double low, double high, double& out) {
  const auto it = config.find(name);
  if (it == config.end() || it->is_null()) return {};
  if (!it->is_number() || !(it->get<double>() >= low && it->get<double>() <= high)) {
    return invalid("generation_config.json has \"" + std::string(name) + "\": " + it->dump() +
                       ", which is out of range; --generation-config none ignores the file",
                   name);
  }
  out = it->get<double>();
  return {};
}

// A float as it was written: 0.6, not 0.60000002384185791.
Json rounded(float x) { return std::round(static_cast<double>(x) * 1e6) / 1e6; }

}  // namespace

Result<RequestDefaults> defaults_of(const Json& config) {
  RequestDefaults out;
  if (!config.is_object()) return out;
  auto& sampling = out.sampling;
  double temperature = 1, top_k = 0, top_p = 1, min_p = 0, repetition_penalty = 1;
  TENON_TRY(read(config, "temperature", 0, 100, temperature));
  TENON_TRY(read(config, "top_k", -1, 1e9, top_k));
  TENON_TRY(read(config, "top_p", 0, 1, top_p));
  TENON_TRY(read(config, "min_p", 0, 1, min_p));
  TENON_TRY(read(config, "repetition_penalty", 1e-6, 100, repetition_penalty));
  sampling.temperature = static_cast<float>(temperature);
  sampling.top_k = std::max(0, static_cast<int>(top_k));
  sampling.top_p = static_cast<float>(top_p);
  sampling.min_p = static_cast<float>(min_p);
  sampling.repetition_penalty = static_cast<float>(repetition_penalty);
  return out;
}

Json shown(const RequestDefaults& defaults) {
  const sampler::SamplingParams plain;
  const auto& sampling = defaults.sampling;
  Json out = Json::object();
  if (sampling.temperature != plain.temperature) out["temperature"] = rounded(sampling.temperature);
  if (sampling.top_k != plain.top_k) out["top_k"] = sampling.top_k;
  if (sampling.top_p != plain.top_p) out["top_p"] = rounded(sampling.top_p);
  if (sampling.min_p != plain.min_p) out["min_p"] = rounded(sampling.min_p);
  if (sampling.repetition_penalty != plain.repetition_penalty) {
    out["repetition_penalty"] = rounded(sampling.repetition_penalty);
  }
  return out;
}

}  // namespace tenon::server
