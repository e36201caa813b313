#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <random>

#include "server/conversation.h"
#include "server/fields.h"
#include "server/openai.h"
#include "server/structured.h"

namespace tenon::server {
namespace {

using generate::GenerateRequest;

constexpr std::size_t kMaxBiases = 1024;
constexpr std::size_t kMaxBadWords = 1024;
constexpr std::size_t kMaxAllowed = 1024;
constexpr std::size_t kMaxStopTokens = 1024;
constexpr int kMaxChoices = 128;
constexpr std::size_t kMaxPrompts = 2048;

Status parse_stop(Fields& fields, GenerateRequest& request) {
  const Json* stop = fields.find("stop");
  if (!stop) return {};
  const Json list = stop->is_array() ? *stop : Json::array({*stop});
  if (list.size() > 16) return wrong("stop", "may hold at most 16 strings");
  for (const Json& s : list) {
    if (!s.is_string()) return wrong("stop", "must be a string or an array of strings");
    if (s.get_ref<const std::string&>().empty()) return wrong("stop", "must not hold an empty string");
    if (s.get_ref<const std::string&>().size() > 256) return wrong("stop", "holds a string of more than 256 bytes");
    request.stop.push_back(s);
  }
  return {};
}

Status parse_logit_bias(Fields& fields, sampler::SamplingParams& sampling) {
  const Json* biases = fields.find("logit_bias");
  if (!biases) return {};
  if (!biases->is_object()) return wrong("logit_bias", "must be an object of token ids and numbers");
  if (biases->size() > kMaxBiases) return wrong("logit_bias", "may hold at most 1024 tokens");
  for (const auto& [key, bias] : biases->items()) {
    std::int32_t token = -1;
    const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), token);
    if (error != std::errc() || end != key.data() + key.size() || token < 0) {
      return wrong("logit_bias", "has the key '" + key + "', which is no token id");
    }
    if (!bias.is_number() || !(std::abs(bias.get<double>()) <= 100)) {
      return wrong("logit_bias", "must hold numbers between -100 and 100, not " + bias.dump());
    }
    sampling.logit_bias.emplace_back(token, bias.get<float>());
  }
  return {};
}

Status parse_allowed_tokens(Fields& fields, std::vector<std::int32_t>& out) {
  const Json* ids = fields.find("allowed_token_ids");
  if (!ids) return {};
  if (!ids->is_array() || ids->empty()) return wrong("allowed_token_ids", "must be an array of token ids, not empty");
  if (ids->size() > kMaxAllowed) return wrong("allowed_token_ids", "may hold at most 1024 tokens");
  TENON_TRY(parse_ids(*ids, "allowed_token_ids", out));
  std::ranges::sort(out);
  out.erase(std::ranges::unique(out).begin(), out.end());
  return {};
}

Status parse_penalties(Fields& fields, sampler::SamplingParams& sampling) {
  TENON_TRY(fields.number("frequency_penalty", -2, 2, sampling.frequency_penalty));
  TENON_TRY(fields.number("presence_penalty", -2, 2, sampling.presence_penalty));
  TENON_TRY(fields.number("repetition_penalty", 0, 100, sampling.repetition_penalty));
  if (!(sampling.repetition_penalty > 0)) return wrong("repetition_penalty", "must be greater than 0");
  TENON_TRY(parse_allowed_tokens(fields, sampling.allowed_tokens));
  return parse_logit_bias(fields, sampling);
}

Status parse_bad_words(Fields& fields, std::vector<std::string>& out) {
  const Json* words = fields.find("bad_words");
  if (!words) return {};
  if (!words->is_array()) return wrong("bad_words", "must be an array of strings");
  if (words->size() > kMaxBadWords) return wrong("bad_words", "may hold at most 1024 strings");
  for (const Json& word : *words) {
    if (!word.is_string() || word == "") return wrong("bad_words", "must hold strings that are not empty");
    if (word.get_ref<const std::string&>().size() > 256) {
      return wrong("bad_words", "holds a string of more than 256 bytes");
    }
    out.push_back(word);
  }
  return {};
}

// What SDKs send although it asks for nothing; what asks for more is refused, never ignored.
Status parse_unsupported(Fields& fields) {
  TENON_TRY(fields.only("use_beam_search", {false}));
  TENON_TRY(fields.only("length_penalty", {1}));
  TENON_TRY(fields.only("early_stopping", {false}));
  TENON_TRY(fields.only("logits_processors", {Json::array()}));
  TENON_TRY(fields.only("logprob_token_ids", {}));
  TENON_TRY(fields.only("truncation_side", {"left"}));
  TENON_TRY(fields.only("thinking_token_budget", {-1}));
  TENON_TRY(fields.only("repetition_detection", {}));
  TENON_TRY(fields.only("watermarking", {false}));
  TENON_TRY(fields.only("stream_interval", {1}));
  TENON_TRY(fields.only("prompt_embeds", {}));
  TENON_TRY(fields.only("mm_processor_kwargs", {Json::object()}));
  TENON_TRY(fields.only("media_io_kwargs", {Json::object()}));
  TENON_TRY(fields.only("kv_transfer_params", {Json::object()}));
  TENON_TRY(fields.only("ec_transfer_params", {Json::object()}));
  TENON_TRY(fields.only("vllm_xargs", {Json::object()}));
  return fields.only("spaces_between_special_tokens", {true, false});  // these tokenizers know no other way than theirs
}

Status parse_choices(Fields& fields, ParsedRequest& out) {
  TENON_TRY(fields.integer("n", 1, kMaxChoices, out.n));
  int best_of = out.n;
  TENON_TRY(fields.integer("best_of", 1, kMaxChoices, best_of));
  if (best_of != out.n) return unsupported("'best_of' other than 'n' is not supported; leave it out", "best_of");
  return {};
}

// What chat and text completions share.
Status parse_common(Fields& fields, const RequestDefaults& defaults, std::int64_t least_max_tokens,
                    ParsedRequest& out) {
  const Json* model = fields.find("model");
  if (!model) return wrong("model", "is required");
  if (!model->is_string()) return wrong("model", "must be a string");
  out.model = *model;

  GenerateRequest& request = out.generate;
  auto& sampling = request.sampling = defaults.sampling;
  TENON_TRY(fields.number("temperature", 0, 2, sampling.temperature));
  TENON_TRY(fields.number("top_p", 0, 1, sampling.top_p));
  if (sampling.top_p == 0) return wrong("top_p", "must be greater than 0");
  TENON_TRY(fields.number("min_p", 0, 1, sampling.min_p));
  TENON_TRY(fields.integer("top_k", -1, std::numeric_limits<int>::max(), sampling.top_k));
  if (sampling.top_k < 0) sampling.top_k = 0;  // -1 is vLLM's "off"
  std::int64_t seed = 0;
  if (fields.find("seed")) {
    TENON_TRY(fields.integer("seed", INT64_MIN, INT64_MAX, seed));
    sampling.seed = static_cast<std::uint64_t>(seed);
  } else {
    std::random_device device;
    sampling.seed = (std::uint64_t{device()} << 32) | device();
  }
  TENON_TRY(parse_stop(fields, request));
  if (const Json* ids = fields.find("stop_token_ids")) {
    if (!ids->is_array()) return wrong("stop_token_ids", "must be an array of token ids");
    if (ids->size() > kMaxStopTokens) return wrong("stop_token_ids", "may hold at most 1024 token ids");
    TENON_TRY(parse_ids(*ids, "stop_token_ids", request.stop_token_ids));
  }
  TENON_TRY(fields.boolean("ignore_eos", request.ignore_eos));
  TENON_TRY(fields.boolean("skip_special_tokens", request.skip_special_tokens));
  TENON_TRY(fields.boolean("include_stop_str_in_output", request.include_stop));
  std::int64_t max_tokens = -1;
  TENON_TRY(fields.integer("max_tokens", least_max_tokens, INT64_MAX, max_tokens));
  if (max_tokens >= 0) request.max_tokens = max_tokens;
  TENON_TRY(fields.integer("min_tokens", 0, INT64_MAX, request.min_tokens));

  TENON_TRY(parse_bad_words(fields, out.bad_words));
  TENON_TRY(fields.boolean("return_token_ids", out.return_token_ids));
  TENON_TRY(fields.boolean("return_tokens_as_token_ids", out.return_tokens_as_token_ids));
  TENON_TRY(fields.integer("truncate_prompt_tokens", -1, INT64_MAX, out.truncate_prompt_tokens));
  if (out.truncate_prompt_tokens == 0) {
    return wrong("truncate_prompt_tokens", "must be at least 1, or -1 for as many as the context holds");
  }
  TENON_TRY(fields.integer("priority", INT32_MIN, INT32_MAX, request.priority));
  float timeout = 0;
  TENON_TRY(fields.number("timeout", 0, 1e6, timeout));
  if (timeout == 0 && fields.find("timeout"))
    return wrong("timeout", "must be greater than 0; without it there is none");
  request.timeout = static_cast<double>(timeout);
  if (const Json* salt = fields.find("cache_salt")) {
    if (!salt->is_string() || salt->get_ref<const std::string&>().size() > 1024) {
      return wrong("cache_salt", "must be a string of at most 1024 bytes");
    }
    request.cache_salt = *salt;
  }

  TENON_TRY(fields.boolean("stream", out.stream));
  TENON_TRY(fields.integer("prompt_logprobs", 0, sampler::kMaxTopLogprobs, out.prompt_logprobs));
  if (out.stream && out.prompt_logprobs >= 0) {
    return wrong("prompt_logprobs", "cannot be given with \"stream\": true");
  }
  request.prompt_logprobs = out.prompt_logprobs;
  if (const Json* options = fields.find("stream_options")) {
    if (!options->is_object()) return wrong("stream_options", "must be an object");
    Fields inner(*options, fields.allow_unknown());
    TENON_TRY(inner.boolean("include_usage", out.include_usage));
    TENON_TRY(inner.boolean("continuous_usage_stats", out.continuous_usage));
    TENON_TRY(inner.only("include_obfuscation", {false}));
    TENON_TRY(inner.no_others());
    if (!out.stream && (out.include_usage || out.continuous_usage)) {
      return wrong("stream_options", "may be given only with \"stream\": true");
    }
  }
  TENON_TRY(parse_structure(fields, out.structure));
  // These say who asks, or how long OpenAI keeps prompts, and change no reply.
  for (const char* name : {"user", "safety_identifier", "prompt_cache_key", "prompt_cache_retention", "session_id"}) {
    if (const Json* value = fields.find(name); value && !value->is_string()) return wrong(name, "must be a string");
  }

  TENON_TRY(parse_unsupported(fields));
  TENON_TRY(parse_penalties(fields, sampling));
  return parse_choices(fields, out);
}

Status check_min_tokens(const GenerateRequest& request) {
  if (request.max_tokens && request.min_tokens > *request.max_tokens) {
    return wrong("min_tokens", "is " + std::to_string(request.min_tokens) + ", which is more than the most tokens, " +
                                   std::to_string(*request.max_tokens));
  }
  return {};
}

Status parse_prompts(Fields& fields, std::vector<generate::Prompt>& out) {
  const Json* prompt = fields.find("prompt");
  if (!prompt) return wrong("prompt", "is required");
  const bool several = prompt->is_array() && !prompt->empty() && !prompt->front().is_number();
  for (const Json& one : several ? *prompt : Json::array({*prompt})) {
    if (one.is_string()) {
      out.push_back({one.get<std::string>()});
    } else if (one.is_array() && !one.empty()) {
      std::vector<std::int32_t> ids;
      TENON_TRY(parse_ids(one, "prompt", ids));
      out.push_back({std::move(ids)});
    } else {
      return wrong("prompt", "must be a string, an array of token ids, or an array of these");
    }
  }
  return {};
}

Status require_object(const Json& body) {
  if (!body.is_object()) return invalid("the body must be a JSON object");
  return {};
}

}  // namespace

Result<ParsedRequest> parse_chat_request(const Json& body, const RequestDefaults& defaults,
                                         const chat::ReplyFormat& format) {
  TENON_TRY(require_object(body));
  Fields fields(body, defaults.allow_unknown_fields);
  ParsedRequest out;
  out.format = format;
  TENON_TRY(parse_common(fields, defaults, 1, out));
  TENON_ASSIGN(chat::RenderInput input, parse_conversation(fields, format));
  std::optional<std::int64_t> max_tokens;
  TENON_TRY(fields.integer("max_completion_tokens", 1, INT64_MAX, max_tokens));
  if (max_tokens && out.generate.max_tokens && *max_tokens != *out.generate.max_tokens) {
    return wrong("max_completion_tokens", "is not the same as 'max_tokens': give one of them");
  }
  if (max_tokens) out.generate.max_tokens = max_tokens;
  TENON_TRY(check_min_tokens(out.generate));
  TENON_TRY(fields.boolean("logprobs", out.logprobs));
  int top_logprobs = 0;
  TENON_TRY(fields.integer("top_logprobs", 0, sampler::kMaxTopLogprobs, top_logprobs));
  if (top_logprobs > 0 && !out.logprobs) return wrong("top_logprobs", "may be given only with \"logprobs\": true");
  if (out.logprobs) out.generate.sampling.top_logprobs = top_logprobs;
  TENON_TRY(parse_tools(fields, out, input));
  if (format.reasoning == "harmony" || (!out.tools.empty() && out.format.needs_special_tokens())) {
    out.generate.skip_special_tokens = false;  // the markers are among them
  }
  bool echo = false;
  TENON_TRY(fields.boolean("echo", echo));
  if (const Json& last = input.messages.back(); echo && last["role"] == "assistant" && last.contains("content"))
    out.echoed = last["content"].is_string() ? last["content"] : "";
  TENON_TRY(fields.only("functions", {Json::array()}));
  TENON_TRY(fields.only("function_call", {"none"}));
  TENON_TRY(fields.only("include_reasoning", {true}));
  TENON_TRY(fields.only("modalities", {Json::array({"text"})}));
  TENON_TRY(fields.only("audio", {}));
  // What the reply may be like makes OpenAI's faster, and changes none.
  if (const Json* text = fields.find("prediction"); text && !text->is_object()) {
    return wrong("prediction", "must be an object");
  }
  TENON_TRY(parse_effort(fields, defaults.template_reads_effort, !format.reasoning.empty(), input));
  TENON_TRY(parse_documents(fields, defaults.template_reads_documents, input));
  TENON_TRY(fields.only("verbosity", {"medium"}));
  TENON_TRY(fields.only("web_search_options", {}));
  TENON_TRY(fields.only("store", {false}));
  // Labels of stored replies, of which there are none.
  if (const Json* labels = fields.find("metadata"); labels && !labels->is_object()) {
    return wrong("metadata", "must be an object");
  }
  // Where OpenAI's cache of prompts ends and how long it lasts: what is found in one changes no reply.
  if (const Json* cache = fields.find("prompt_cache_options"); cache && !cache->is_object()) {
    return wrong("prompt_cache_options", "must be an object");
  }
  TENON_TRY(fields.only("moderation", {}));
  TENON_TRY(fields.only("service_tier", {"auto", "default"}));
  std::optional<bool> special;
  TENON_TRY(fields.boolean("add_special_tokens", special));
  TENON_TRY(fields.no_others());
  out.prompts.push_back({std::move(input), special});
  return out;
}

Result<ParsedRequest> parse_completion_request(const Json& body, const RequestDefaults& defaults) {
  TENON_TRY(require_object(body));
  Fields fields(body, defaults.allow_unknown_fields);
  ParsedRequest out;
  out.generate.max_tokens = 16;  // OpenAI's default for this endpoint
  TENON_TRY(fields.boolean("echo", out.echo));
  TENON_TRY(parse_common(fields, defaults, out.echo ? 0 : 1, out));
  TENON_TRY(check_min_tokens(out.generate));
  TENON_TRY(parse_prompts(fields, out.prompts));
  if (out.prompts.size() * static_cast<std::size_t>(out.n) > kMaxPrompts) {
    return wrong(out.n > 1 ? "n" : "prompt", "asks for more than 2048 choices in one request");
  }
  int logprobs = -1;
  TENON_TRY(fields.integer("logprobs", 0, sampler::kMaxTopLogprobs, logprobs));
  if (logprobs >= 0) {
    out.logprobs = true;
    out.generate.sampling.top_logprobs = logprobs;
    if (out.echo) out.generate.prompt_logprobs = std::max(logprobs, out.prompt_logprobs);
  }
  std::optional<bool> special;
  TENON_TRY(fields.boolean("add_special_tokens", special));
  for (generate::Prompt& prompt : out.prompts) prompt.add_special_tokens = special;
  TENON_TRY(fields.only("suffix", {""}));
  TENON_TRY(fields.no_others());
  return out;
}

}  // namespace tenon::server
