// What requests that do not say otherwise get: the model's generation_config.json.
#pragma once

#include "base/json.h"
#include "base/result.h"
#include "sampler/sampling.h"

namespace tenon::server {

struct RequestDefaults {
  sampler::SamplingParams sampling;
  bool template_reads_effort = false;     ///< whether "reasoning_effort" has a meaning for the model
  bool template_reads_documents = false;  ///< whether "documents" have one
  bool allow_unknown_fields = false;      ///< of a body and the objects in it; else they are refused by name
};

/// Reads temperature, top_k, top_p, min_p and repetition_penalty, as vLLM does; other fields do not matter here. An
/// error names the field.
Result<RequestDefaults> defaults_of(const Json& generation_config);

/// Those that differ from OpenAI's own: {"temperature": 0.6, …}.
Json shown(const RequestDefaults& defaults);

}  // namespace tenon::server
