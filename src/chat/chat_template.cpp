#include "chat/chat_template.h"

#include <algorithm>
#include <array>
#include <utility>

#include "tenon_rust.hpp"

namespace tenon::chat {
namespace {

struct HandleDeleter {
  void operator()(TenonTemplate* handle) const { tenon_template_free(handle); }
};
using Handle = std::unique_ptr<TenonTemplate, HandleDeleter>;

constexpr std::array kReserved = {"messages", "tools", "add_generation_prompt", "continue_final_message"};

// Stands at the end of a message that goes on, as in transformers' apply_chat_template: a template that trims messages
// takes the space away, and its text is trimmed, too.
constexpr std::string_view kEnd = "CONTINUE_FINAL_MESSAGE_TAG ";

// What Python's str.strip() removes.
constexpr std::string_view kSpaces[] = {" ",      "\t",     "\n",     "\v",     "\f",      "\r",     "\x1C",   "\x1D",
                                        "\x1E",   "\x1F",   "\u00A0", "\u1680", "\u2000",  "\u2001", "\u2002", "\u2003",
                                        "\u2004", "\u2005", "\u2006", "\u2007", "\u2008",  "\u2009", "\u200A", "\u2028",
                                        "\u2029", "\u202F", "\u205F", "\u3000", "\xC2\x85"};

std::string_view right_stripped(std::string_view text) {
  const auto ends = [&](std::string_view space) { return text.ends_with(space); };
  for (auto space = std::ranges::find_if(kSpaces, ends); space != std::end(kSpaces);
       space = std::ranges::find_if(kSpaces, ends)) {
    text.remove_suffix(space->size());
  }
  return text;
}

std::string_view stripped(std::string_view text) {
  text = right_stripped(text);
  const auto begins = [&](std::string_view space) { return text.starts_with(space); };
  for (auto space = std::ranges::find_if(kSpaces, begins); space != std::end(kSpaces);
       space = std::ranges::find_if(kSpaces, begins)) {
    text.remove_prefix(space->size());
  }
  return text;
}

std::unexpected<Error> not_continued(const std::string& why) {
  return invalid("'continue_final_message' cannot be used: " + why, "continue_final_message");
}

class MinijinjaTemplate final : public ChatTemplate {
 public:
  MinijinjaTemplate(Handle handle, Json special_tokens, std::string_view source)
      : handle_(std::move(handle)),
        special_tokens_(std::move(special_tokens)),
        reads_content_(source.contains("content")),
        reads_xml_tools_(source.contains("xml_tools")) {}

  Result<std::string> render(const RenderInput& input, std::int64_t now) const override {
    return input.continue_final_message ? render_open(input, now) : render_closed(input, now);
  }

 private:
  Result<std::string> render_open(RenderInput input, std::int64_t now) const {
    Json* const last = input.messages.empty() ? nullptr : &input.messages.back();
    const auto content = last && last->is_object() ? last->find("content") : Json::iterator();
    if (!last || !last->is_object() || content == last->end() || !content->is_string())
      return not_continued("the last message has no 'content' that is a text");
    if (!reads_content_) return not_continued("the chat template does not read the 'content' of messages");
    const std::string text = *content;
    *content = text + std::string(kEnd);
    TENON_ASSIGN(std::string rendered, render_closed(input, now));
    const std::size_t end = rendered.rfind(right_stripped(kEnd));
    if (end == std::string::npos || !rendered.contains(stripped(text)))
      return not_continued("the chat template leaves out or changes the last message");
    const bool keeps_spaces = std::string_view(rendered).substr(end).starts_with(kEnd);
    rendered.resize(end);
    if (!keeps_spaces) rendered.resize(right_stripped(rendered).size());
    return rendered;
  }

  Result<std::string> render_closed(const RenderInput& input, std::int64_t now) const {
    if (!input.kwargs.is_object()) return invalid("chat_template_kwargs must be an object", "chat_template_kwargs");
    for (const char* name : kReserved) {
      if (input.kwargs.contains(name)) {
        return invalid(std::string("chat_template_kwargs cannot set '") + name + "', which the request itself sets",
                       "chat_template_kwargs");
      }
    }
    Json variables = special_tokens_;
    variables["documents"] = nullptr;
    for (const auto& [name, value] : input.kwargs.items()) variables[name] = value;
    variables["messages"] = input.messages;
    variables["tools"] = input.tools;
    // SmolLM3's name for them. The other one that it reads, python_tools, asks for calls in Python code.
    if (reads_xml_tools_ && !input.kwargs.contains("xml_tools")) variables["xml_tools"] = input.tools;
    variables["add_generation_prompt"] = input.add_generation_prompt;
    // What a client sent may hold broken UTF-8 if it was built by hand; it must not throw here.
    const std::string text = variables.dump(-1, ' ', false, Json::error_handler_t::replace);
    rust::Bytes rendered;
    rust::Bytes error;
    TENON_TRY(
        rust::check(tenon_template_render(handle_.get(), text.data(), text.size(), now, rendered.out(), error.out()),
                    error, "cannot render the messages"));
    return rendered.str();
  }

  Handle handle_;
  Json special_tokens_;
  bool reads_content_;
  bool reads_xml_tools_;
};

}  // namespace

Result<std::shared_ptr<const ChatTemplate>> ChatTemplate::create(std::string_view source, const Json& special_tokens) {
  if (!special_tokens.is_object() && !special_tokens.is_null()) {
    return invalid("the special tokens of a chat template must be an object of name to text");
  }
  TenonTemplate* handle = nullptr;
  rust::Bytes error;
  TENON_TRY(rust::check(tenon_template_create(source.data(), source.size(), &handle, error.out()), error,
                        "cannot use the model's chat template"));
  return std::make_shared<MinijinjaTemplate>(Handle(handle), special_tokens.is_null() ? Json::object() : special_tokens,
                                             source);
}

}  // namespace tenon::chat
