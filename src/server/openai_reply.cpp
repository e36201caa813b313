#include <string_view>
#include <utility>

#include "server/openai.h"

namespace tenon::server {
namespace {

Json envelope(const ReplyIdentity& identity, const char* object) {
  return {{"id", identity.id}, {"object", object}, {"created", identity.created}, {"model", identity.model}};
}

Json usage_object(Usage usage) {
  return {{"prompt_tokens", usage.prompt_tokens},
          {"completion_tokens", usage.completion_tokens},
          {"total_tokens", usage.prompt_tokens + usage.completion_tokens},
          {"prompt_tokens_details", {{"cached_tokens", usage.cached_tokens}}}};
}

Json reason(const char* finish_reason) { return finish_reason ? Json(finish_reason) : Json(nullptr); }

void add(Json& object, const char* name, const Json& value) {
  if (!value.is_null()) object[name] = value;
}

// Fields of vLLM's that OpenAI's objects do not have.
void add_ids(Json& reply, Json& choice, const ReplyIdentity& identity, const ChoiceJson& from) {
  add(choice, "token_ids", from.token_ids);
  Json& of_prompt = identity.chat ? reply : choice;
  add(of_prompt, "prompt_token_ids", from.prompt_token_ids);
  add(of_prompt, "prompt_logprobs", from.prompt_logprobs);
}

const char* chunk_object(const ReplyIdentity& identity) {
  return identity.chat ? "chat.completion.chunk" : "text_completion";
}

Json chunk(const ReplyIdentity& identity, int index, Json delta_or_text, const ChoiceJson& more,
           std::optional<Usage> so_far) {
  Json out = envelope(identity, chunk_object(identity));
  Json choice = {{"index", index}};
  choice[identity.chat ? "delta" : "text"] = std::move(delta_or_text);
  choice["logprobs"] = more.logprobs;
  choice["finish_reason"] = reason(more.finish_reason);
  if (more.finish_reason) choice["stop_reason"] = more.stop_reason;
  add_ids(out, choice, identity, more);
  out["choices"] = Json::array({std::move(choice)});
  if (so_far) out["usage"] = usage_object(*so_far);
  return out;
}

}  // namespace

Json tool_call(const chat::ReplyPart& call, const std::string& id, int index) {
  Json out = Json::object();
  if (index >= 0) out["index"] = index;
  out["id"] = id;
  out["type"] = "function";
  out["function"] = {{"name", call.name}, {"arguments", call.text}};
  return out;
}

Json more_arguments(const chat::ReplyPart& part, int index) {
  return {{"index", index}, {"function", {{"arguments", part.text}}}};
}

Json reply_object(const ReplyIdentity& identity, std::vector<ChoiceJson> choices, Usage usage) {
  Json out = envelope(identity, identity.chat ? "chat.completion" : "text_completion");
  out["choices"] = Json::array();
  for (ChoiceJson& from : choices) {
    Json choice = {{"index", from.index}};
    if (identity.chat) {
      const bool only_calls = from.text.empty() && !from.tool_calls.empty();
      Json& message =
          choice["message"] = {{"role", "assistant"}, {"content", std::move(from.text)}, {"refusal", nullptr}};
      if (only_calls) message["content"] = nullptr;
      if (!from.reasoning.empty()) message["reasoning_content"] = std::move(from.reasoning);
      if (!from.tool_calls.empty()) message["tool_calls"] = std::move(from.tool_calls);
    } else {
      choice["text"] = std::move(from.text);
    }
    choice["logprobs"] = std::move(from.logprobs);
    choice["finish_reason"] = reason(from.finish_reason);
    choice["stop_reason"] = std::move(from.stop_reason);
    add_ids(out, choice, identity, from);
    out["choices"].push_back(std::move(choice));
  }
  out["usage"] = usage_object(usage);
  return out;
}

Json first_chunk(const ReplyIdentity& identity, int index, std::optional<Usage> so_far, Json prompt_token_ids) {
  const ChoiceJson more{.prompt_token_ids = std::move(prompt_token_ids)};
  return chunk(identity, index, {{"role", "assistant"}, {"content", ""}}, more, so_far);
}

Json choice_chunk(const ReplyIdentity& identity, const ChoiceJson& choice, std::optional<Usage> so_far) {
  if (!identity.chat) return chunk(identity, choice.index, choice.text, choice, so_far);
  Json delta = Json::object();
  if (!choice.reasoning.empty()) delta["reasoning_content"] = choice.reasoning;
  if (!choice.text.empty()) delta["content"] = choice.text;
  if (!choice.tool_calls.empty()) delta["tool_calls"] = choice.tool_calls;
  return chunk(identity, choice.index, std::move(delta), choice, so_far);
}

Json usage_chunk(const ReplyIdentity& identity, Usage usage) {
  Json out = envelope(identity, chunk_object(identity));
  out["choices"] = Json::array();
  out["usage"] = usage_object(usage);
  return out;
}

int http_status(const Error& error) {
  switch (error.code) {
    case ErrorCode::kInvalidArgument:
    case ErrorCode::kTooLong:
    case ErrorCode::kUnsupported:
      return 400;
    case ErrorCode::kPermissionDenied:
      return 401;
    case ErrorCode::kNotFound:
      return 404;
    case ErrorCode::kResourceExhausted:
      return 429;
    case ErrorCode::kUnavailable:
      return 503;
    case ErrorCode::kDeadlineExceeded:
      return 504;
    case ErrorCode::kDataLoss:
    case ErrorCode::kCancelled:
    case ErrorCode::kInternal:
      break;
  }
  return 500;
}

Json error_object(int status, const Error& error) {
  const char* type = status == 401   ? "authentication_error"
                     : status == 429 ? "rate_limit_error"
                     : status >= 500 ? "server_error"
                                     : "invalid_request_error";
  const char* code = status == 401 ? "invalid_api_key" : status == 429 ? "queue_full" : nullptr;
  if (status == 404 && error.param == "model") code = "model_not_found";
  if (error.code == ErrorCode::kUnsupported) code = "unsupported_parameter";
  if (error.code == ErrorCode::kTooLong) code = "context_length_exceeded";
  return {{"error",
           {{"message", error.message},
            {"type", type},
            {"param", error.param.empty() ? Json(nullptr) : Json(error.param)},
            {"code", code ? Json(code) : Json(nullptr)}}}};
}

const char* finish_reason_name(engine::FinishReason finish) {
  switch (finish) {
    case engine::FinishReason::kNone:
      return nullptr;
    case engine::FinishReason::kLength:
      return "length";
    case engine::FinishReason::kStop:
      return "stop";
    case engine::FinishReason::kCancelled:
      return "cancelled";
    case engine::FinishReason::kError:
      return "error";
    case engine::FinishReason::kTimeout:
      return "timeout";
    case engine::FinishReason::kGrammar:
      return "grammar";
  }
  return nullptr;
}

std::string dump(const Json& json) {
  constexpr std::pair<std::string_view, std::string_view> kEscapes[] = {
      {"\xC2\x85", "\\u0085"}, {"\xE2\x80\xA8", "\\u2028"}, {"\xE2\x80\xA9", "\\u2029"}};
  std::string text = json.dump(-1, ' ', false, Json::error_handler_t::replace);
  for (const auto& [character, escape] : kEscapes)
    for (std::size_t at = 0; (at = text.find(character, at)) != std::string::npos; at += escape.size())
      text.replace(at, character.size(), escape);
  return text;
}

}  // namespace tenon::server
