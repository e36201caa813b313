// chat/chat_template.h: a template is a text for a conversation, or an error that says why. The input is the template
// and, after a line "----", the conversation: {"messages", "tools", "kwargs"}.
#include <cstdint>
#include <string>
#include <string_view>

#include "base/check.h"
#include "chat/chat_template.h"

namespace {

using namespace tenon;

const Json kSpecialTokens = {{"bos_token", "<s>"}, {"eos_token", "</s>"}};

chat::RenderInput conversation(std::string_view text) {
  chat::RenderInput input;
  input.messages = {{{"role", "system"}, {"content", "Be brief."}}, {{"role", "user"}, {"content", "Hi, wörld\n"}}};
  const auto json = parse_json(text, "conversation", {.max_bytes = 4096, .max_depth = 64});
  if (!json || !json->is_object()) return input;
  input.messages = json->value("messages", input.messages);
  input.tools = json->value("tools", Json());
  input.kwargs = json->value("kwargs", Json::object());
  return input;
}

void check_error(const Error& error) { TENON_CHECK(error.code == ErrorCode::kInvalidArgument, error.message); }

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  constexpr std::size_t kMostBytes = 2048;
  constexpr std::string_view kMark = "\n----\n";
  if (size > kMostBytes) return 0;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  const std::size_t mark = text.find(kMark);
  const auto compiled = chat::ChatTemplate::create(text.substr(0, mark), kSpecialTokens);
  if (!compiled) return check_error(compiled.error()), 0;
  const auto input = conversation(mark == text.npos ? "" : text.substr(mark + kMark.size()));
  const auto rendered = (*compiled)->render(input, 1700000000);
  if (!rendered) return check_error(rendered.error()), 0;
  TENON_CHECK((*compiled)->render(input, 1700000000) == *rendered, "the same conversation, another text");
  return 0;
}
