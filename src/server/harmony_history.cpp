#include "server/harmony_history.h"

#include <cstddef>

namespace tenon::server {
namespace {

void show_reasoning(Json& message) {
  const Json reasoning = message.value("reasoning_content", Json());
  const Json content = message.value("content", Json());
  const bool spoken = content.is_string() && content != "";
  if (!reasoning.is_string() || reasoning == "" || message.contains("thinking") || !has_calls(message) || spoken)
    return;
  message["thinking"] = reasoning;
}

}  // namespace

bool has_calls(const Json& message) {
  const auto calls = message.find("tool_calls");
  return calls != message.end() && calls->is_array() && !calls->empty();
}

Json harmony_history(const Json& messages) {
  Json out = Json::array();
  for (std::size_t i = 0; i < messages.size(); ++i) {
    Json message = messages[i];
    show_reasoning(message);
    if (message.contains("content") && message["content"].is_null()) message.erase("content");
    if (!has_calls(message) || message["tool_calls"].size() == 1) {
      out.push_back(std::move(message));
      continue;
    }
    std::size_t end = i + 1;
    while (end < messages.size() && messages[end]["role"] == "tool") ++end;
    Json outputs = Json::array();
    for (std::size_t j = i + 1; j < end; ++j) outputs.push_back(messages[j]);
    const Json calls = message["tool_calls"];
    for (const Json& call : calls) {
      Json one = message;
      one["tool_calls"] = Json::array({call});
      out.push_back(std::move(one));
      // What was said and thought came before all of them.
      message.erase("thinking");
      message.erase("content");
      for (std::size_t j = 0; j < outputs.size(); ++j) {
        if (!call.contains("id") || outputs[j].value("tool_call_id", Json()) != call["id"]) continue;
        out.push_back(outputs[j]);
        outputs.erase(j--);
      }
    }
    for (Json& output : outputs) out.push_back(std::move(output));
    i = end - 1;
  }
  return out;
}

}  // namespace tenon::server
