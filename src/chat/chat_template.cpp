#include "chat/chat_template.h"

#include <array>
#include <utility>

#include "tenon_rust.hpp"

namespace tenon::chat {
namespace {

struct HandleDeleter {
  void operator()(TenonTemplate* handle) const { tenon_template_free(handle); }
};
using Handle = std::unique_ptr<TenonTemplate, HandleDeleter>;

constexpr std::array kReserved = {"messages", "tools", "add_generation_prompt"};

class MinijinjaTemplate final : public ChatTemplate {
 public:
  MinijinjaTemplate(Handle handle, Json special_tokens)
      : handle_(std::move(handle)), special_tokens_(std::move(special_tokens)) {}

  Result<std::string> render(const RenderInput& input, std::int64_t now) const override {
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

 private:
  Handle handle_;
  Json special_tokens_;
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
  return std::make_shared<MinijinjaTemplate>(Handle(handle),
                                             special_tokens.is_null() ? Json::object() : special_tokens);
}

}  // namespace tenon::chat
