#include <algorithm>
#include <charconv>
#include <cmath>
#include <limits>
#include <random>

#include "server/fields.h"
#include "server/openai.h"
#include "server/structured.h"

namespace tenon::server {
namespace {

using generate::GenerateRequest;

constexpr std::size_t kMaxBiases = 1024;
constexpr int kMaxChoices = 128;
constexpr std::size_t kMaxTools = 256;
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

Status parse_penalties(Fields& fields, sampler::SamplingParams& sampling) {
  TENON_TRY(fields.number("frequency_penalty", -2, 2, sampling.frequency_penalty));
  TENON_TRY(fields.number("presence_penalty", -2, 2, sampling.presence_penalty));
  TENON_TRY(fields.number("repetition_penalty", 0, 100, sampling.repetition_penalty));
  if (!(sampling.repetition_penalty > 0)) return wrong("repetition_penalty", "must be greater than 0");
  return parse_logit_bias(fields, sampling);
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
    TENON_TRY(parse_ids(*ids, "stop_token_ids", request.stop_token_ids));
  }
  TENON_TRY(fields.boolean("ignore_eos", request.ignore_eos));
  TENON_TRY(fields.boolean("skip_special_tokens", request.skip_special_tokens));
  TENON_TRY(fields.boolean("include_stop_str_in_output", request.include_stop));
  std::int64_t max_tokens = -1;
  TENON_TRY(fields.integer("max_tokens", least_max_tokens, INT64_MAX, max_tokens));
  if (max_tokens >= 0) request.max_tokens = max_tokens;
  TENON_TRY(fields.integer("min_tokens", 0, INT64_MAX, request.min_tokens));

  TENON_TRY(fields.integer("priority", INT32_MIN, INT32_MAX, request.priority));
  float timeout = 0;
  TENON_TRY(fields.number("timeout", 0, 1e6, timeout));
  if (timeout == 0 && fields.find("timeout"))
    return wrong("timeout", "must be greater than 0; without it there is none");
  request.timeout = static_cast<double>(timeout);
  if (const Json* salt = fields.find("cache_salt")) {
    if (!salt->is_string() || salt->get_ref<const std::string&>().size() > 256) {
      return wrong("cache_salt", "must be a string of at most 256 bytes");
    }
    request.cache_salt = *salt;
  }

  TENON_TRY(fields.boolean("stream", out.stream));
  if (const Json* options = fields.find("stream_options")) {
    if (!out.stream) return wrong("stream_options", "may be given only with \"stream\": true");
    if (!options->is_object()) return wrong("stream_options", "must be an object");
    Fields inner(*options, fields.allow_unknown());
    TENON_TRY(inner.boolean("include_usage", out.include_usage));
    TENON_TRY(inner.boolean("continuous_usage_stats", out.continuous_usage));
    TENON_TRY(inner.only("include_obfuscation", {false}));
    TENON_TRY(inner.no_others());
  }
  TENON_TRY(parse_structure(fields, out.structure));
  // These say who asks, and change no reply.
  for (const char* name : {"user", "safety_identifier", "prompt_cache_key"}) {
    if (const Json* value = fields.find(name); value && !value->is_string()) return wrong(name, "must be a string");
  }

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

bool has_calls(const Json& message) {
  const auto calls = message.find("tool_calls");
  return calls != message.end() && calls->is_array() && !calls->empty();
}

// OpenAI's clients send back a call's arguments as text; templates want the object.
Status read_arguments(Json& message) {
  const auto calls = message.find("tool_calls");
  if (calls == message.end() || calls->is_null()) return {};
  if (!calls->is_array()) return wrong("messages", "has 'tool_calls' that are no array");
  for (Json& call : *calls) {
    const auto function = call.is_object() ? call.find("function") : call.end();
    if (!call.is_object() || function == call.end() || !function->is_object() || !function->contains("name") ||
        !(*function)["name"].is_string()) {
      return wrong("messages", "has a tool call without a 'function' that has a 'name'");
    }
    if (!function->contains("arguments") || !(*function)["arguments"].is_string()) continue;
    Json& arguments = (*function)["arguments"];
    const std::string text = arguments.get<std::string>();
    auto object = parse_json(text.empty() ? "{}" : text, "a tool call's arguments", {.max_depth = 64});
    if (!object || !object->is_object()) {
      return wrong("messages", "has a tool call whose 'arguments' are no JSON object");
    }
    arguments = std::move(*object);
  }
  return {};
}

// Parts of text become one string, with line breaks between them as in vLLM: the text models' templates take nothing
// else. So does no content at all, but beside tool calls, where templates ask for null.
Json flattened(const Json& messages) {
  Json out = messages;
  for (Json& message : out) {
    const auto content = message.find("content");
    if (content == message.end()) continue;
    if (content->is_null() && !has_calls(message)) *content = "";
    if (!content->is_array()) continue;
    std::string text;
    for (const Json& part : *content)
      text += (&part == &content->front() ? "" : "\n") + part["text"].get<std::string>();
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
      if (message["content"].is_null() && *role != "assistant") {
        return wrong("messages", "has a message of the role " + role->dump() + " whose 'content' is null");
      }
      TENON_TRY(check_content(message["content"]));
    } else if (!message.contains("tool_calls")) {
      return wrong("messages", "has a message without 'content'");
    }
  }
  out.messages = flattened(*messages);
  for (Json& message : out.messages) TENON_TRY(read_arguments(message));
  return {};
}

Status check_tools(const Json& tools) {
  if (!tools.is_array()) return wrong("tools", "must be an array");
  if (tools.size() > kMaxTools) return wrong("tools", "may hold at most 256 tools");
  for (const Json& tool : tools) {
    const auto function = tool.is_object() ? tool.find("function") : tool.end();
    if (!tool.is_object() || tool.value("type", Json()) != "function" || function == tool.end() ||
        !function->is_object()) {
      return wrong("tools", "must hold objects with \"type\": \"function\" and a 'function'");
    }
    const auto name = function->find("name");
    if (name == function->end() || !name->is_string() || name->get_ref<const std::string&>().empty()) {
      return wrong("tools", "has a function without a 'name'");
    }
    const auto parameters = function->find("parameters");
    if (parameters != function->end() && !parameters->is_null() && !parameters->is_object()) {
      return wrong("tools", "has a function whose 'parameters' are no JSON schema");
    }
    const auto strict = function->find("strict");
    if (strict != function->end() && !strict->is_null() && !strict->is_boolean()) {
      return wrong("tools", "has a function whose 'strict' is neither true nor false");
    }
  }
  return {};
}

void show_tools(const Json& tools, const chat::ReplyFormat& format, chat::RenderInput& out) {
  out.tools = tools;
  if (format.tools != "harmony") return;
  // Its template adds a tool's description to text, which fails without one.
  for (Json& tool : out.tools) {
    if (Json& description = tool["function"]["description"]; description.is_null()) description = "";
  }
}

bool is_strict(const Json& tool) { return tool["function"].value("strict", Json()) == true; }

// "tool_choice" where it names a function: the tool of that name.
Result<Json> named_tool(const Json& choice, const Json* tools) {
  const auto function = choice.find("function");
  if (choice.value("type", Json()) != "function" || function == choice.end() || !function->is_object() ||
      !function->value("name", Json()).is_string()) {
    return wrong("tool_choice", "must be {\"type\": \"function\", \"function\": {\"name\": …}} where it is an object");
  }
  for (const Json& tool : tools ? *tools : Json::array()) {
    if (tool["function"]["name"] == (*function)["name"]) return tool;
  }
  return wrong("tool_choice", "names the function " + (*function)["name"].dump() + ", which is not among 'tools'");
}

// Calls that must follow a grammar: those that are forced, those of strict tools, those beside structured content.
Status constrain_calls(const Json& tools, const Json* choice, ParsedRequest& out) {
  Json rules = tools;
  if (out.tool_choice == ToolChoice::kAuto) {
    const bool strict = std::ranges::any_of(tools, is_strict);
    if (!strict && !out.structure) return {};
    if (!chat::can_follow_rules(out.format)) {
      return strict ? unsupported(
                          "'strict' tools are not supported in the notation of this model unless 'tool_choice' "
                          "forces a call",
                          "tools")
                    : unsupported("'tools' cannot be used together with '" + out.structure->param +
                                      "' in the notation of this model",
                                  "tools");
    }
    for (Json& tool : rules) {
      if (!is_strict(tool)) tool["function"]["parameters"] = {{"type", "object"}};
    }
  } else {
    if (out.structure && out.structure->param != "response_format") {
      return wrong("tool_choice", "cannot force a call together with '" + out.structure->param + "'");
    }
    out.format = chat::forced_format(out.format);
    if (out.tool_choice == ToolChoice::kNamed) {
      TENON_ASSIGN(Json tool, named_tool(*choice, &tools));
      rules = Json::array({std::move(tool)});
    }
  }
  const bool beside_json = out.tool_choice == ToolChoice::kAuto && out.structure &&
                           out.structure->kind == grammar::Kind::kJsonSchema && chat::calls_look_like_json(out.format);
  TENON_ASSIGN(out.call_rules, call_rules(rules, beside_json));
  return {};
}

Status parse_tools(Fields& fields, ParsedRequest& out, chat::RenderInput& input) {
  const Json* tools = fields.find("tools");
  const bool any = tools && !(tools->is_array() && tools->empty());
  if (any) TENON_TRY(check_tools(*tools));
  TENON_TRY(fields.boolean("parallel_tool_calls", out.parallel_tool_calls));
  const Json* choice = fields.find("tool_choice");
  if (choice && *choice == "required") out.tool_choice = ToolChoice::kRequired;
  if (choice && choice->is_object()) {
    out.tool_choice = ToolChoice::kNamed;
    TENON_TRY(named_tool(*choice, any ? tools : nullptr));
  }
  if (choice && out.tool_choice == ToolChoice::kAuto && *choice != "none" && *choice != "auto") {
    return wrong("tool_choice", "must be \"none\", \"auto\", \"required\" or an object that names a function");
  }
  if (!any) {
    if (choice && *choice != "none") return wrong("tool_choice", "may be " + choice->dump() + " only with 'tools'");
    return {};
  }
  if (choice && *choice == "none") return {};
  if (out.format.tools.empty()) {
    return unsupported(
        "'tools' cannot be used: the chat template does not say how this model writes tool calls; the "
        "server can be started with --tool-call-parser",
        "tools");
  }
  for (const Json& tool : *tools) out.tools.push_back(tool["function"]["name"]);
  show_tools(*tools, out.format, input);
  return constrain_calls(*tools, choice, out);
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

// "reasoning_effort", which some templates read.
Status parse_effort(Fields& fields, bool is_read, chat::RenderInput& input) {
  const Json* effort = fields.find("reasoning_effort");
  if (!effort) return {};
  constexpr std::string_view kEfforts[] = {"none", "minimal", "low", "medium", "high", "xhigh"};
  if (!effort->is_string() ||
      std::ranges::find(kEfforts, effort->get_ref<const std::string&>()) == std::end(kEfforts)) {
    return wrong("reasoning_effort", "must be none, minimal, low, medium, high or xhigh");
  }
  if (!is_read) {
    return unsupported("'reasoning_effort' cannot be used: the chat template of this model does not read it",
                       "reasoning_effort");
  }
  if (!input.kwargs.emplace("reasoning_effort", Json(*effort)).second) {
    return wrong("reasoning_effort", "is also among 'chat_template_kwargs': give it once");
  }
  return {};
}

}  // namespace

Result<chat::RenderInput> parse_conversation(Fields& fields) {
  chat::RenderInput input;
  TENON_TRY(parse_messages(fields, input));
  TENON_TRY(fields.boolean("add_generation_prompt", input.add_generation_prompt));
  if (const Json* kwargs = fields.find("chat_template_kwargs")) {
    if (!kwargs->is_object()) return wrong("chat_template_kwargs", "must be an object");
    input.kwargs = *kwargs;
  }
  return input;
}

Status parse_tool_list(Fields& fields, const chat::ReplyFormat& format, chat::RenderInput& out) {
  const Json* tools = fields.find("tools");
  if (!tools || (tools->is_array() && tools->empty())) return {};
  TENON_TRY(check_tools(*tools));
  show_tools(*tools, format, out);
  return {};
}

Result<ParsedRequest> parse_chat_request(const Json& body, const RequestDefaults& defaults,
                                         const chat::ReplyFormat& format) {
  TENON_TRY(require_object(body));
  Fields fields(body, defaults.allow_unknown_fields);
  ParsedRequest out;
  out.format = format;
  TENON_TRY(parse_common(fields, defaults, 1, out));
  TENON_ASSIGN(chat::RenderInput input, parse_conversation(fields));
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
  TENON_TRY(fields.only("functions", {}));
  TENON_TRY(fields.only("function_call", {}));
  TENON_TRY(fields.only("modalities", {Json::array({"text"})}));
  TENON_TRY(fields.only("audio", {}));
  TENON_TRY(fields.only("prediction", {}));
  TENON_TRY(parse_effort(fields, defaults.template_reads_effort, input));
  TENON_TRY(fields.only("verbosity", {"medium"}));
  TENON_TRY(fields.only("web_search_options", {}));
  TENON_TRY(fields.only("store", {false}));
  // Labels of stored replies, of which there are none.
  if (const Json* labels = fields.find("metadata"); labels && !labels->is_object()) {
    return wrong("metadata", "must be an object");
  }
  TENON_TRY(fields.only("service_tier", {"auto", "default"}));
  TENON_TRY(fields.no_others());
  out.prompts.push_back({std::move(input)});
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
    if (out.echo) out.generate.prompt_logprobs = logprobs;
  }
  TENON_TRY(fields.only("suffix", {""}));
  TENON_TRY(fields.no_others());
  return out;
}

}  // namespace tenon::server
