#include <cmath>
#include <limits>
#include <random>
#include <set>

#include "server/openai.h"

namespace tenon::server {
namespace {

using generate::GenerateRequest;

std::unexpected<Error> wrong(const char* name, const std::string& what) {
  return invalid("'" + std::string(name) + "' " + what, name);
}

// Reads a body's fields; null counts as absent, as in OpenAI's clients.
class Fields {
 public:
  explicit Fields(const Json& body) : body_(body) {}

  const Json* find(const char* name) {
    known_.insert(name);
    const auto it = body_.find(name);
    return it == body_.end() || it->is_null() ? nullptr : &*it;
  }

  Status number(const char* name, double low, double high, float& out) {
    const Json* value = find(name);
    if (!value) return {};
    if (!value->is_number()) return wrong(name, "must be a number");
    const double x = value->get<double>();
    if (!(x >= low && x <= high)) {
      return wrong(name, "must be between " + trimmed(low) + " and " + trimmed(high) + ", not " + value->dump());
    }
    out = static_cast<float>(x);
    return {};
  }

  template <class T>
  Status integer(const char* name, std::int64_t low, std::int64_t high, T& out) {
    const Json* value = find(name);
    if (!value) return {};
    if (!value->is_number_integer()) return wrong(name, "must be an integer");
    // A uint64 beyond int64 would wrap.
    const bool huge = value->is_number_unsigned() && value->get<std::uint64_t>() > std::uint64_t{INT64_MAX};
    const std::int64_t x = huge ? 0 : value->get<std::int64_t>();
    if (huge || x < low || x > high) {
      return wrong(
          name, "must be between " + std::to_string(low) + " and " + std::to_string(high) + ", not " + value->dump());
    }
    out = static_cast<T>(x);
    return {};
  }

  Status boolean(const char* name, bool& out) {
    const Json* value = find(name);
    if (!value) return {};
    if (!value->is_boolean()) return wrong(name, "must be true or false");
    out = value->get<bool>();
    return {};
  }

  /// Accepts only what changes nothing: a parameter that is not supported yet is refused, never ignored.
  Status only(const char* name, std::initializer_list<Json> neutral) {
    const Json* value = find(name);
    if (!value) return {};
    for (const Json& n : neutral) {
      if (*value == n) return {};
    }
    return unsupported("'" + std::string(name) + "' is not supported yet; leave it out", name);
  }

  Status no_others() const {
    for (const auto& [key, value] : body_.items()) {
      if (known_.contains(key)) continue;
      const std::string near = nearest_name(key, known_);
      return invalid("unknown parameter '" + key + "'" + (near.empty() ? "" : "; did you mean '" + near + "'?"), key);
    }
    return {};
  }

 private:
  static std::string trimmed(double x) {
    return x == std::floor(x) ? std::to_string(static_cast<long long>(x)) : std::to_string(x);
  }
  const Json& body_;
  std::set<std::string> known_;
};

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

Status parse_ids(const Json& list, const char* name, std::vector<std::int32_t>& out) {
  for (const Json& id : list) {
    if (!id.is_number_integer() || id < 0 || id > std::numeric_limits<std::int32_t>::max()) {
      return wrong(name, "must hold token ids: integers that are not negative");
    }
    out.push_back(id);
  }
  return {};
}

// What chat and text completions share.
Status parse_common(Fields& fields, ParsedRequest& out) {
  const Json* model = fields.find("model");
  if (!model) return wrong("model", "is required");
  if (!model->is_string()) return wrong("model", "must be a string");
  out.model = *model;

  GenerateRequest& request = out.generate;
  auto& sampling = request.sampling;
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
    TENON_TRY(parse_ids(*ids, "stop_token_ids", request.stop_token_ids));
  }
  TENON_TRY(fields.boolean("ignore_eos", request.ignore_eos));
  TENON_TRY(fields.boolean("skip_special_tokens", request.skip_special_tokens));
  std::int64_t max_tokens = -1;
  TENON_TRY(fields.integer("max_tokens", 1, INT64_MAX, max_tokens));
  if (max_tokens >= 0) request.max_tokens = max_tokens;

  TENON_TRY(fields.boolean("stream", out.stream));
  if (const Json* options = fields.find("stream_options")) {
    if (!out.stream) return wrong("stream_options", "may be given only with \"stream\": true");
    if (!options->is_object()) return wrong("stream_options", "must be an object");
    Fields inner(*options);
    TENON_TRY(inner.boolean("include_usage", out.include_usage));
    TENON_TRY(inner.no_others());
  }
  if (const Json* user = fields.find("user"); user && !user->is_string()) return wrong("user", "must be a string");

  TENON_TRY(fields.only("n", {1}));
  TENON_TRY(fields.only("best_of", {1}));
  TENON_TRY(fields.only("frequency_penalty", {0, 0.0}));
  TENON_TRY(fields.only("presence_penalty", {0, 0.0}));
  TENON_TRY(fields.only("repetition_penalty", {1, 1.0}));
  TENON_TRY(fields.only("logit_bias", {Json::object()}));
  return {};
}

Status check_content(const Json& content) {
  if (content.is_string() || content.is_null()) return {};
  if (!content.is_array()) return wrong("messages", "has a 'content' that is neither a string nor an array of parts");
  for (const Json& part : content) {
    const auto type = part.is_object() ? part.find("type") : part.end();
    if (!part.is_object() || type == part.end() || !type->is_string()) {
      return wrong("messages", "has a content part without a 'type'");
    }
    if (*type != "text")
      return unsupported(
          "content parts of type '" + type->get<std::string>() + "' are not supported by this model; only 'text' is",
          "messages");
    if (!part.contains("text") || !part["text"].is_string()) {
      return wrong("messages", "has a text part whose 'text' is not a string");
    }
  }
  return {};
}

// Parts of text become one string: the text models' templates take nothing else.
Json flattened(const Json& messages) {
  Json out = messages;
  for (Json& message : out) {
    const auto content = message.find("content");
    if (content == message.end() || !content->is_array()) continue;
    std::string text;
    for (const Json& part : *content) text += part["text"].get<std::string>();
    *content = text;
  }
  return out;
}

Status parse_messages(Fields& fields, chat::RenderInput& out) {
  const Json* messages = fields.find("messages");
  if (!messages) return wrong("messages", "is required");
  if (!messages->is_array() || messages->empty()) return wrong("messages", "must be an array of at least one message");
  for (const Json& message : *messages) {
    if (!message.is_object()) return wrong("messages", "must hold objects");
    const auto role = message.find("role");
    if (role == message.end() || !role->is_string()) return wrong("messages", "has a message without a 'role'");
    if (message.contains("content")) {
      TENON_TRY(check_content(message["content"]));
    } else if (!message.contains("tool_calls")) {
      return wrong("messages", "has a message without 'content'");
    }
  }
  out.messages = flattened(*messages);
  return {};
}

Status require_object(const Json& body) {
  if (!body.is_object()) return invalid("the body must be a JSON object");
  return {};
}

}  // namespace

Result<ParsedRequest> parse_chat_request(const Json& body) {
  TENON_TRY(require_object(body));
  Fields fields(body);
  ParsedRequest out;
  TENON_TRY(parse_common(fields, out));
  chat::RenderInput input;
  TENON_TRY(parse_messages(fields, input));
  TENON_TRY(fields.boolean("add_generation_prompt", input.add_generation_prompt));
  if (const Json* kwargs = fields.find("chat_template_kwargs")) {
    if (!kwargs->is_object()) return wrong("chat_template_kwargs", "must be an object");
    input.kwargs = *kwargs;
  }
  std::int64_t max_tokens = -1;
  TENON_TRY(fields.integer("max_completion_tokens", 1, INT64_MAX, max_tokens));
  if (max_tokens >= 0) out.generate.max_tokens = max_tokens;
  if (const Json* format = fields.find("response_format")) {
    if (*format != Json{{"type", "text"}}) {
      return unsupported("'response_format' is not supported yet beyond {\"type\": \"text\"}", "response_format");
    }
  }
  TENON_TRY(fields.only("logprobs", {false}));
  TENON_TRY(fields.only("top_logprobs", {}));
  TENON_TRY(fields.only("tools", {Json::array()}));
  TENON_TRY(fields.only("tool_choice", {"none"}));
  TENON_TRY(fields.only("parallel_tool_calls", {}));
  TENON_TRY(fields.only("functions", {}));
  TENON_TRY(fields.only("function_call", {}));
  TENON_TRY(fields.only("modalities", {Json::array({"text"})}));
  TENON_TRY(fields.only("audio", {}));
  TENON_TRY(fields.only("prediction", {}));
  TENON_TRY(fields.only("reasoning_effort", {}));
  TENON_TRY(fields.only("verbosity", {}));
  TENON_TRY(fields.only("web_search_options", {}));
  TENON_TRY(fields.only("store", {false}));
  TENON_TRY(fields.only("metadata", {Json::object()}));
  TENON_TRY(fields.only("service_tier", {"auto", "default"}));
  TENON_TRY(fields.no_others());
  out.generate.prompt.value = std::move(input);
  return out;
}

Result<ParsedRequest> parse_completion_request(const Json& body) {
  TENON_TRY(require_object(body));
  Fields fields(body);
  ParsedRequest out;
  out.generate.max_tokens = 16;  // OpenAI's default for this endpoint
  TENON_TRY(parse_common(fields, out));
  const Json* prompt = fields.find("prompt");
  if (!prompt) return wrong("prompt", "is required");
  if (prompt->is_array() && prompt->size() == 1 && !prompt->front().is_number()) prompt = &prompt->front();
  if (prompt->is_string()) {
    out.generate.prompt.value = prompt->get<std::string>();
  } else if (prompt->is_array() && !prompt->empty() && prompt->front().is_number()) {
    std::vector<std::int32_t> ids;
    TENON_TRY(parse_ids(*prompt, "prompt", ids));
    out.generate.prompt.value = std::move(ids);
  } else if (prompt->is_array() && prompt->size() > 1) {
    return unsupported("'prompt' with more than one prompt is not supported yet; send one request each", "prompt");
  } else {
    return wrong("prompt", "must be a string or an array of token ids");
  }
  TENON_TRY(fields.only("echo", {false}));
  TENON_TRY(fields.only("suffix", {""}));
  TENON_TRY(fields.only("logprobs", {}));
  TENON_TRY(fields.no_others());
  return out;
}

}  // namespace tenon::server
