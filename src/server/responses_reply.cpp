#include "server/responses_reply.h"

#include <algorithm>
#include <utility>

namespace tenon::server {
namespace {

bool is_visible(const ChoiceJson& piece) {
  return !piece.text.empty() || !piece.reasoning.empty() || !piece.tool_calls.empty();
}

void append(Json& list, const Json& more) { list.insert(list.end(), more.begin(), more.end()); }

}  // namespace

ResponseWriter::ResponseWriter(ReplyIdentity identity, Json request, Send send)
    : identity_(std::move(identity)), request_(std::move(request)), send_(std::move(send)) {}

void ResponseWriter::begin() {
  send("response.created", {{"response", response("in_progress")}});
  send("response.in_progress", {{"response", response("in_progress")}});
}

void ResponseWriter::add(std::span<const ChoiceJson> pieces, std::int64_t completion_tokens) {
  const Json logprobs = logprobs_of(pieces);
  if (const auto first = std::ranges::find_if(pieces, is_visible); first != pieces.end()) {
    // Tokens that show nothing (markers, text that is held back) count with what follows them.
    if (!first->reasoning.empty()) reasoning_tokens_ += completion_tokens - placed_tokens_;
    placed_tokens_ = completion_tokens;
  }
  append(unplaced_logprobs_, logprobs);
  for (const ChoiceJson& piece : pieces) {
    if (!piece.reasoning.empty()) add_text(Item::kReasoning, piece.reasoning);
    if (!piece.text.empty()) add_text(Item::kMessage, piece.text);
    for (const Json& call : piece.tool_calls) add_call(call);
  }
}

// Those of the tokens, after those that belong to no message have been dropped.
Json ResponseWriter::logprobs_of(std::span<const ChoiceJson> pieces) {
  Json own = Json::array();
  for (const ChoiceJson& piece : pieces) {
    if (piece.logprobs.is_object()) append(own, piece.logprobs["content"]);
  }
  const auto first = std::ranges::find_if(pieces, is_visible);
  if (first == pieces.end()) return own;
  const bool any_text = std::ranges::any_of(pieces, [](const ChoiceJson& piece) { return !piece.text.empty(); });
  if (first->text.empty()) unplaced_logprobs_ = Json::array();
  return any_text ? own : Json::array();
}

void ResponseWriter::open(Item kind, const char* prefix, const Json& item) {
  close("completed");
  kind_ = kind;
  item_ = {{"id", item_id(prefix)}};
  item_.update(item);
  item_["status"] = "in_progress";
  text_.clear();
  logprobs_ = Json::array();
  answers_ |= kind != Item::kReasoning;
  send("response.output_item.added", {{"output_index", output_.size()}, {"item", item_}});
}

void ResponseWriter::open_text(Item kind) {
  if (kind == Item::kReasoning) {
    open(kind, "rs_", {{"type", "reasoning"}, {"summary", Json::array()}, {"content", Json::array()}});
  } else {
    open(kind, "msg_", {{"type", "message"}, {"role", "assistant"}, {"content", Json::array()}});
  }
  send_part("response.content_part.added");
}

void ResponseWriter::add_text(Item kind, const std::string& text) {
  if (kind_ != kind) open_text(kind);
  text_ += text;
  Json event = {{"item_id", item_["id"]}, {"output_index", output_.size()}, {"content_index", 0}, {"delta", text}};
  if (kind == Item::kReasoning) return send("response.reasoning_text.delta", event);
  event["logprobs"] = std::exchange(unplaced_logprobs_, Json::array());
  append(logprobs_, event["logprobs"]);
  send("response.output_text.delta", event);
}

// As tool_call() and more_arguments() have made them.
void ResponseWriter::add_call(const Json& call) {
  const Json& function = call["function"];
  if (call.contains("id")) {
    open(Item::kCall, "fc_",
         {{"type", "function_call"}, {"call_id", call["id"]}, {"name", function["name"]}, {"arguments", ""}});
  }
  const std::string arguments = function["arguments"];
  if (arguments.empty()) return;
  text_ += arguments;
  send("response.function_call_arguments.delta",
       {{"item_id", item_["id"]}, {"output_index", output_.size()}, {"delta", arguments}});
}

void ResponseWriter::close(const char* status) {
  if (kind_ == Item::kNone) return;
  Json event = {{"item_id", item_["id"]}, {"output_index", output_.size()}};
  if (kind_ == Item::kCall) {
    item_["arguments"] = event["arguments"] = text_;
    event["name"] = item_["name"];
    send("response.function_call_arguments.done", event);
  } else {
    event["content_index"] = 0;
    event["text"] = text_;
    if (kind_ == Item::kMessage) event["logprobs"] = logprobs_;
    send(kind_ == Item::kMessage ? "response.output_text.done" : "response.reasoning_text.done", event);
    send_part("response.content_part.done");
    item_["content"] = Json::array({part()});
  }
  item_["status"] = status;
  send("response.output_item.done", {{"output_index", output_.size()}, {"item", item_}});
  output_.push_back(std::move(item_));
  kind_ = Item::kNone;
}

Json ResponseWriter::finish(std::string_view finish_reason, const Usage& usage) {
  const bool is_cut = finish_reason == "length";
  if (kind_ == Item::kMessage && !unplaced_logprobs_.empty()) add_text(kind_, "");  // of tokens that show nothing
  close(is_cut ? "incomplete" : "completed");
  if (!answers_ && !is_cut) {
    open_text(Item::kMessage);
    close("completed");
  }
  Json out = response(is_cut ? "incomplete" : "completed");
  if (is_cut) out["incomplete_details"] = {{"reason", "max_output_tokens"}};
  out["usage"] = usage_object(usage);
  send(is_cut ? "response.incomplete" : "response.completed", {{"response", out}});
  return out;
}

void ResponseWriter::fail(int status, const Error& error, const Usage& usage) {
  close("incomplete");
  // OpenAI's schema has its members in the event itself, its server in an "error", where clients look for them.
  Json of_event = error_object(status, error)["error"];
  const char* code = status >= 500 ? "server_error" : "invalid_prompt";
  if (of_event["code"].is_null()) of_event["code"] = code;
  Json event = {{"code", of_event["code"]}, {"message", of_event["message"]}, {"param", of_event["param"]}};
  event["error"] = std::move(of_event);
  send("error", event);
  Json out = response("failed");
  out["error"] = {{"code", code}, {"message", error.message}};
  out["usage"] = usage_object(usage);
  send("response.failed", {{"response", out}});
}

// The content of the open item: it has one part.
Json ResponseWriter::part() const {
  if (kind_ == Item::kReasoning) return {{"type", "reasoning_text"}, {"text", text_}};
  return {{"type", "output_text"}, {"text", text_}, {"annotations", Json::array()}, {"logprobs", logprobs_}};
}

Json ResponseWriter::response(const char* status) const {
  Json out = {{"id", identity_.id},       {"object", "response"}, {"created_at", identity_.created},
              {"status", status},         {"error", nullptr},     {"incomplete_details", nullptr},
              {"model", identity_.model}, {"output", output_},    {"usage", nullptr}};
  out.update(request_);
  return out;
}

Json ResponseWriter::usage_object(const Usage& usage) const {
  // What is written to the prefix cache costs nothing here, and is not counted.
  return {{"input_tokens", usage.prompt_tokens},
          {"input_tokens_details", {{"cached_tokens", usage.cached_tokens}, {"cache_write_tokens", 0}}},
          {"output_tokens", usage.completion_tokens},
          {"output_tokens_details", {{"reasoning_tokens", reasoning_tokens_}}},
          {"total_tokens", usage.prompt_tokens + usage.completion_tokens}};
}

void ResponseWriter::send(const char* type, const Json& fields) {
  if (!send_) return;
  Json event = {{"type", type}, {"sequence_number", sequence_++}};
  event.update(fields);
  send_(event);
}

void ResponseWriter::send_part(const char* type) {
  send(type, {{"item_id", item_["id"]}, {"output_index", output_.size()}, {"content_index", 0}, {"part", part()}});
}

// Of an item that begins: "msg_7_0" in the response "resp_7".
std::string ResponseWriter::item_id(const char* prefix) const {
  const std::size_t number = identity_.id.find('_');
  return prefix + identity_.id.substr(number == std::string::npos ? 0 : number + 1) + "_" +
         std::to_string(output_.size());
}

}  // namespace tenon::server
