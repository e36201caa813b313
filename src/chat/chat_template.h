// Messages -> prompt, by the model's own Jinja chat template (minijinja, in the environment of transformers).
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "base/json.h"
#include "base/result.h"

namespace tenon::chat {

struct RenderInput {
  Json messages = Json::array();  ///< OpenAI messages
  Json tools = nullptr;           ///< array, or null for none; also what templates that read xml_tools find there
  bool add_generation_prompt = true;
  /// The text ends where that of the last message does, so that the reply goes on with it; without a generation prompt.
  bool continue_final_message = false;
  Json kwargs = Json::object();  ///< chat_template_kwargs: further variables of the template
};

class ChatTemplate {
 public:
  /// Compiles a template; `special_tokens` ({"bos_token": "<s>", …}) become its variables.
  static Result<std::shared_ptr<const ChatTemplate>> create(std::string_view source, const Json& special_tokens);
  virtual ~ChatTemplate() = default;
  /// An error of kInvalidArgument with the template's own words where it calls raise_exception. `now` (seconds since
  /// the epoch, local time) is what strftime_now formats.
  virtual Result<std::string> render(const RenderInput& input, std::int64_t now) const = 0;
};

}  // namespace tenon::chat
