#include "server/responses_request.h"

#include <algorithm>
#include <string_view>
#include <utility>

#include "server/fields.h"
#include "server/responses_input.h"

namespace tenon::server {
namespace {

// What means the same in a chat: OpenAI's, and vLLM's of its server.
constexpr const char* kShared[] = {"model",
                                   "temperature",
                                   "top_p",
                                   "stream",
                                   "parallel_tool_calls",
                                   "metadata",
                                   "user",
                                   "safety_identifier",
                                   "prompt_cache_key",
                                   "prompt_cache_retention",
                                   "prompt_cache_options",
                                   "session_id",
                                   "service_tier",
                                   "top_k",
                                   "min_p",
                                   "seed",
                                   "stop",
                                   "stop_token_ids",
                                   "include_stop_str_in_output",
                                   "ignore_eos",
                                   "min_tokens",
                                   "skip_special_tokens",
                                   "frequency_penalty",
                                   "presence_penalty",
                                   "repetition_penalty",
                                   "logit_bias",
                                   "bad_words",
                                   "allowed_token_ids",
                                   "structured_outputs",
                                   "chat_template_kwargs",
                                   "documents",
                                   "priority",
                                   "timeout",
                                   "cache_salt"};

// Parameters of a chat that have another name here.
constexpr std::pair<const char*, const char*> kRenamed[] = {{"messages", "input"},
                                                            {"max_tokens", "max_output_tokens"},
                                                            {"max_completion_tokens", "max_output_tokens"},
                                                            {"response_format", "text.format"},
                                                            {"reasoning_effort", "reasoning.effort"}};

Json value_of(Fields& fields, const char* name) {
  const Json* value = fields.find(name);
  return value ? *value : Json();
}

// Fields of an object in the body, whose errors are to name it too.
Status no_others_in(const char* name, const Fields& inner) {
  const auto others = inner.no_others();
  if (others) return {};
  return wrong(name, "has an " + others.error().message);
}

Status parse_stateful(Fields& fields) {
  const auto refuse = [&](const char* name, const std::string& what) -> Status {
    if (!fields.find(name)) return {};
    return unsupported("'" + std::string(name) + "' cannot be used: " + what, name);
  };
  TENON_TRY(refuse("previous_response_id",
                   "responses are not stored here; send the earlier items, those of the reply too, in 'input'"));
  TENON_TRY(refuse("conversation", "conversations are not stored here; send all of their items in 'input'"));
  TENON_TRY(refuse("prompt", "prompts are not stored here; send 'instructions' and 'input'"));
  TENON_TRY(refuse("max_tool_calls", "it limits tools that the server runs, of which there are none; leave it out"));
  bool background = false, store = false;
  TENON_TRY(fields.boolean("background", background));
  if (background) {
    return unsupported(
        "'background' cannot be true: responses are not stored here, so nobody could ask for this one later; leave it "
        "out and wait for the reply, or use \"stream\": true",
        "background");
  }
  TENON_TRY(fields.boolean("store", store));  // the reply says that it was not
  const Json truncation = value_of(fields, "truncation");
  if (truncation == "auto") {
    return unsupported(
        "'truncation' cannot be \"auto\": an input that is longer than the context is refused, not cut; leave out what "
        "is not needed of it",
        "truncation");
  }
  if (!truncation.is_null() && truncation != "disabled") return wrong("truncation", "must be auto or disabled");
  TENON_TRY(fields.only("context_management", {Json::array()}));
  return fields.only("moderation", {});
}

// In a chat what belongs to a function stands in an object of its own. `shown`: as the reply repeats them.
Status parse_tools(Fields& fields, Json& chat, Json& shown) {
  shown = Json::array();
  const Json* tools = fields.find("tools");
  if (!tools) return {};
  if (!tools->is_array()) return wrong("tools", "must be an array");
  Json out = Json::array();
  for (const Json& tool : *tools) {
    const Json type = tool.is_object() ? tool.value("type", Json()) : Json();
    if (!type.is_string()) return wrong("tools", "must hold objects with a 'type'");
    if (type != "function") {
      return unsupported("'tools' of type '" + type.get<std::string>() +
                             "' are not supported: only those of type function are, which the client runs",
                         "tools");
    }
    if (!tool.contains("name") && tool.contains("function")) {
      return wrong("tools", "has a function without a 'name', which stands beside 'type' here, not in a 'function'");
    }
    for (const char* name : {"defer_loading", "async"}) {
      if (tool.value(name, Json()) == true) {
        return unsupported("'tools' with '" + std::string(name) + "' are not supported; leave it out", "tools");
      }
    }
    Json function = Json::object();
    for (const char* name : {"name", "description", "parameters", "strict"}) {
      if (tool.contains(name)) function[name] = tool[name];
    }
    Json as_shown = {
        {"type", "function"}, {"name", nullptr}, {"description", nullptr}, {"parameters", nullptr}, {"strict", false}};
    for (const auto& [key, value] : function.items()) {
      if (!value.is_null()) as_shown[key] = value;
    }
    shown.push_back(std::move(as_shown));
    out.push_back({{"type", "function"}, {"function", std::move(function)}});
  }
  chat["tools"] = std::move(out);
  return {};
}

// A function's name stands beside its type here.
Json nested(const Json& function) {
  return {{"type", "function"},
          {"function", {{"name", function.is_object() ? function.value("name", Json()) : Json()}}}};
}

Status parse_tool_choice(Fields& fields, Json& chat) {
  const Json* choice = fields.find("tool_choice");
  if (!choice || *choice == "auto") return {};  // asks for nothing, also without tools
  if (!choice->is_object()) {
    chat["tool_choice"] = *choice;
    return {};
  }
  const Json type = choice->value("type", Json());
  if (type == "allowed_tools") {
    Json tools = Json::array();
    const Json list = choice->value("tools", Json());
    for (const Json& tool : list.is_array() ? list : Json::array()) tools.push_back(nested(tool));
    chat["tool_choice"] = {{"type", type},
                           {"allowed_tools", {{"mode", choice->value("mode", Json())}, {"tools", std::move(tools)}}}};
    return {};
  }
  if (type.is_string() && type != "function") {
    return unsupported(
        "'tool_choice' of type '" + type.get<std::string>() +
            "' is not supported; none, auto, required and objects of type function and allowed_tools are",
        "tool_choice");
  }
  const Json name = choice->value("name", Json());
  if (type != "function" || !name.is_string()) {
    return wrong("tool_choice", "must be {\"type\": \"function\", \"name\": …} where it is an object");
  }
  chat["tool_choice"] = nested(*choice);
  return {};
}

Status parse_format(const Json& format, bool allow_unknown, Json& chat) {
  const char* param = "text.format";
  if (!format.is_object()) return wrong(param, "must be an object with a 'type'");
  Fields fields(format, allow_unknown);
  const Json type = value_of(fields, "type");
  if (type != "text" && type != "json_object" && type != "json_schema") {
    return wrong(param, "must have the 'type' text, json_object or json_schema");
  }
  Json described = Json::object();
  for (const char* name : {"name", "schema", "description", "strict"}) {
    if (const Json* value = fields.find(name)) described[name] = *value;
  }
  TENON_TRY(no_others_in(param, fields));
  if (type != "json_schema") {
    if (!described.empty()) return wrong(param, "may have a 'name', 'schema' … only with the type json_schema");
    if (type == "json_object") chat["response_format"] = {{"type", type}};
    return {};
  }
  const Json name = described.value("name", Json());
  if (!name.is_string() || name == "") return wrong(param, "must have a 'name'");
  if (!described.value("schema", Json()).is_object()) return wrong(param, "must have a 'schema', an object");
  chat["response_format"] = {{"type", type}, {"json_schema", std::move(described)}};
  return {};
}

Status parse_text(Fields& fields, Json& chat, Json& shown) {
  shown = {{"format", {{"type", "text"}}}, {"verbosity", "medium"}};
  const Json* text = fields.find("text");
  if (!text) return {};
  if (!text->is_object()) return wrong("text", "must be an object");
  Fields inner(*text, fields.allow_unknown());
  if (const Json* format = inner.find("format")) {
    TENON_TRY(parse_format(*format, fields.allow_unknown(), chat));
    shown["format"] = *format;
  }
  if (!inner.only("verbosity", {"medium"})) {
    return unsupported("'text.verbosity' other than medium is not supported yet; leave it out", "text.verbosity");
  }
  return no_others_in("text", inner);
}

Status parse_reasoning(Fields& fields, Json& chat, Json& shown) {
  shown = {{"effort", nullptr}, {"summary", nullptr}};
  const Json* reasoning = fields.find("reasoning");
  if (!reasoning) return {};
  if (!reasoning->is_object()) return wrong("reasoning", "must be an object");
  Fields inner(*reasoning, fields.allow_unknown());
  if (const Json* effort = inner.find("effort")) chat["reasoning_effort"] = shown["effort"] = *effort;
  if (!inner.only("mode", {"standard"}) || !inner.only("context", {"auto"})) {
    return unsupported("'reasoning' with a 'mode' or 'context' of its own is not supported yet; leave it out",
                       "reasoning");
  }
  // The reply shows the reasoning itself; a summary is not made.
  for (const char* name : {"summary", "generate_summary"}) {
    constexpr std::string_view kSummaries[] = {"auto", "concise", "detailed", "none"};
    const Json* summary = inner.find(name);
    if (!summary) continue;
    if (!summary->is_string() ||
        std::ranges::find(kSummaries, summary->get_ref<const std::string&>()) == std::end(kSummaries)) {
      return wrong("reasoning.summary", "must be auto, concise or detailed");
    }
  }
  return no_others_in("reasoning", inner);
}

Status parse_include(Fields& fields, Json& chat) {
  const Json* include = fields.find("include");
  bool logprobs = false;
  if (include && !include->is_array()) return wrong("include", "must be an array of strings");
  for (const Json& one : include ? *include : Json::array()) {
    if (!one.is_string()) return wrong("include", "must be an array of strings");
    if (one == "message.output_text.logprobs") {
      logprobs = true;
    } else if (one != "reasoning.encrypted_content") {  // reasoning is not hidden, so that there is none
      return unsupported(
          "'include' of \"" + one.get<std::string>() + "\" is not supported; message.output_text.logprobs is",
          "include");
    }
  }
  const Json* top = fields.find("top_logprobs");
  if (logprobs) chat["logprobs"] = true;
  if (!top || *top == 0) return {};
  if (!logprobs) {
    return wrong("top_logprobs", "may be given only with \"include\": [\"message.output_text.logprobs\"]");
  }
  chat["top_logprobs"] = *top;
  return {};
}

Status parse_stream_options(Fields& fields) {
  const Json* options = fields.find("stream_options");
  if (!options) return {};
  if (!options->is_object()) return wrong("stream_options", "must be an object");
  Fields inner(*options, fields.allow_unknown());
  TENON_TRY(inner.only("include_obfuscation", {false}));
  return no_others_in("stream_options", inner);
}

Status check_metadata(Fields& fields) {
  const Json* labels = fields.find("metadata");
  if (!labels) return {};
  if (!labels->is_object()) return wrong("metadata", "must be an object of strings");
  // OpenAI's limits; each event that has the response repeats it.
  const auto is_short = [](const std::string& text, std::size_t characters) { return text.size() <= 4 * characters; };
  bool fits = labels->size() <= 16;
  for (const auto& [key, value] : labels->items()) {
    if (!value.is_string()) return wrong("metadata", "must be an object of strings");
    fits = fits && is_short(key, 64) && is_short(value.get_ref<const std::string&>(), 512);
  }
  if (!fits) return wrong("metadata", "may have at most 16 keys of 64 characters, with values of 512");
  return {};
}

}  // namespace

Error in_words_of_responses(Error error) {
  for (const auto& [theirs, ours] : kRenamed) {
    if (error.param == theirs) error.param = ours;
    const std::string from = "'" + std::string(theirs) + "'", to = "'" + std::string(ours) + "'";
    for (std::size_t at = 0; (at = error.message.find(from, at)) != std::string::npos; at += to.size())
      error.message.replace(at, from.size(), to);
  }
  return error;
}

Result<ParsedRequest> parse_responses_request(const Json& body, const RequestDefaults& defaults,
                                              const chat::ReplyFormat& format) {
  if (!body.is_object()) return invalid("the body must be a JSON object");
  Fields fields(body, defaults.allow_unknown_fields);
  for (const auto& [theirs, ours] : kRenamed) {
    if (!defaults.allow_unknown_fields && fields.find(theirs)) {
      return wrong(theirs, "is '" + std::string(ours) + "' in this API");
    }
  }
  Json chat = Json::object();
  for (const char* name : kShared) {
    if (const Json* value = fields.find(name)) chat[name] = *value;
  }
  TENON_TRY(parse_stateful(fields));
  const Json* input = fields.find("input");
  if (!input) return wrong("input", "is required");
  const Json instructions = value_of(fields, "instructions");
  if (!instructions.is_null() && !instructions.is_string()) return wrong("instructions", "must be a string");
  TENON_ASSIGN(chat["messages"], messages_of_input(*input, instructions));
  if (const Json* most = fields.find("max_output_tokens")) chat["max_completion_tokens"] = *most;
  Json tools, text, reasoning;
  TENON_TRY(parse_tools(fields, chat, tools));
  TENON_TRY(parse_tool_choice(fields, chat));
  TENON_TRY(parse_text(fields, chat, text));
  TENON_TRY(parse_reasoning(fields, chat, reasoning));
  TENON_TRY(parse_include(fields, chat));
  TENON_TRY(parse_stream_options(fields));
  TENON_TRY(check_metadata(fields));
  TENON_TRY(fields.no_others());

  auto parsed = parse_chat_request(chat, defaults, format);
  if (!parsed) return std::unexpected(in_words_of_responses(std::move(parsed).error()));
  if (parsed->structure && parsed->structure->param == "response_format") parsed->structure->param = "text.format";
  const auto given = [&](const char* name, const Json& otherwise) {
    const Json* value = fields.find(name);
    return value ? *value : otherwise;
  };
  const auto number = [](std::optional<std::int64_t> x) { return x ? Json(*x) : Json(); };
  const Json plain = shown(defaults);
  parsed->response = {{"background", false},
                      {"instructions", instructions},
                      {"max_output_tokens", number(parsed->generate.max_tokens)},
                      {"max_tool_calls", nullptr},
                      {"metadata", given("metadata", Json::object())},
                      {"parallel_tool_calls", parsed->parallel_tool_calls},
                      {"previous_response_id", nullptr},
                      {"prompt_cache_key", given("prompt_cache_key", nullptr)},
                      {"reasoning", std::move(reasoning)},
                      {"safety_identifier", given("safety_identifier", nullptr)},
                      {"service_tier", "default"},
                      {"store", false},
                      {"temperature", given("temperature", plain.value("temperature", Json(1.0)))},
                      {"text", std::move(text)},
                      {"tool_choice", given("tool_choice", "auto")},
                      {"tools", std::move(tools)},
                      {"top_logprobs", std::max(parsed->generate.sampling.top_logprobs, 0)},
                      {"top_p", given("top_p", plain.value("top_p", Json(1.0)))},
                      {"truncation", "disabled"},
                      {"user", given("user", nullptr)}};
  return parsed;
}

}  // namespace tenon::server
