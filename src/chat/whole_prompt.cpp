#include "chat/whole_prompt.h"

#include <cstddef>
#include <string_view>

namespace tenon::chat {
namespace {

// Without the white space around it, which templates trim.
std::string_view bare(std::string_view text) {
  constexpr std::string_view kSpaces = " \t\n\r\f\v";
  const std::size_t begin = text.find_first_not_of(kSpaces);
  return begin == std::string_view::npos ? "" : text.substr(begin, text.find_last_not_of(kSpaces) + 1 - begin);
}

// Mostly in the order of the messages: behind `from`, else anywhere.
bool find_behind(std::string_view prompt, std::string_view text, std::size_t& from) {
  std::size_t at = prompt.find(text, from);
  if (at == std::string_view::npos) at = prompt.find(text);
  if (at == std::string_view::npos) return false;
  from = at + text.size();
  return true;
}

bool holds(std::string_view prompt, std::string_view text, std::size_t& from) {
  if (find_behind(prompt, text, from)) return true;
  const std::string quoted = Json(text).dump(-1, ' ', false, Json::error_handler_t::replace);
  return find_behind(prompt, std::string_view(quoted).substr(1, quoted.size() - 2), from);
}

// With "" for every content of null: whether there was one.
bool fill_contents(Json& messages) {
  bool any = false;
  for (Json& message : messages) {
    if (!message.is_object() || !message.value("content", Json()).is_null()) continue;
    message["content"] = "";
    any = true;
  }
  return any;
}

Status check_nothing_lost(const ChatTemplate& chat_template, const RenderInput& input, std::int64_t now,
                          std::string_view prompt) {
  bool calls = false;
  std::size_t from = 0, number = 0;
  for (const Json& message : input.messages) {
    ++number;
    if (!message.is_object()) continue;
    // Clients send null or an empty list where there were none.
    const Json of_message = message.value("tool_calls", Json());
    calls |= of_message.is_array() && !of_message.empty();
    const Json role = message.value("role", Json()), content = message.value("content", Json());
    if (role == "assistant" || role == "tool" || !content.is_string()) continue;
    if (const std::string text(bare(content.get_ref<const std::string&>())); !holds(prompt, text, from)) {
      return invalid("message " + std::to_string(number) + ", of the role " + role.dump() +
                         ", is one that the chat template of this model leaves out: put its text into another message",
                     "messages");
    }
  }
  if (!calls) return {};
  RenderInput silent = input;
  for (Json& message : silent.messages) {
    if (message.is_object()) message.erase("tool_calls");
  }
  const auto without = chat_template.render(silent, now);
  if (!without || *without != prompt) return {};
  return invalid(
      "the chat template of this model leaves out the 'tool_calls' of messages: write them as text in 'content'",
      "messages");
}

}  // namespace

bool shows_tools(const ChatTemplate& chat_template) {
  RenderInput input{.messages = Json::parse(R"([{"role": "user", "content": "a question"}])")};
  const auto without = chat_template.render(input, 0);
  input.tools = Json::parse(R"([{"type": "function", "function": {"name": "f", "description": "does it",
    "parameters": {"type": "object", "properties": {"x": {"type": "string", "description": "what"}}}}}])");
  const auto with = chat_template.render(input, 0);
  return !with || !without || *with != *without;
}

Result<std::string> render_whole(const ChatTemplate& chat_template, const RenderInput& input, std::int64_t now) {
  auto prompt = chat_template.render(input, now);
  if (prompt) {
    TENON_TRY(check_nothing_lost(chat_template, input, now, *prompt));
    return prompt;
  }
  // There are templates that ask for a content of null beside calls (DeepSeek V3), and such that look for words in it
  // and fail (Qwen3).
  RenderInput filled = input;
  if (!fill_contents(filled.messages)) return prompt;
  TENON_ASSIGN(std::string of_filled, chat_template.render(filled, now));
  TENON_TRY(check_nothing_lost(chat_template, filled, now, of_filled));
  return of_filled;
}

}  // namespace tenon::chat
