#include "server/tokenize.h"

#include "server/conversation.h"
#include "server/fields.h"
#include "server/openai.h"

namespace tenon::server {

namespace {

// A text as it is given, without ids, or what the chat template renders and its ids.
Result<generate::EncodedPrompt> prompt_of(const Served& served, const chat::ReplyFormat& format, Fields& fields) {
  const Json* prompt = fields.find("prompt");
  const bool chat = fields.find("messages") != nullptr;
  if (prompt && chat) return wrong("messages", "cannot be given together with 'prompt'");
  if (!prompt && !chat) return wrong("prompt", "or 'messages' is required");
  if (prompt) {
    if (!prompt->is_string()) return wrong("prompt", "must be a string");
    TENON_TRY(fields.no_others());
    return generate::EncodedPrompt{.text = *prompt};
  }
  TENON_ASSIGN(chat::RenderInput input, parse_conversation(fields, format));
  TENON_TRY(parse_tool_list(fields, format, input));
  TENON_TRY(fields.only("mm_processor_kwargs", {Json::object()}));
  TENON_TRY(fields.only("media_io_kwargs", {Json::object()}));
  TENON_TRY(fields.no_others());
  if (!served.generator) return wrong("messages", "are for models that generate text: this one takes a 'prompt'");
  return served.generator->encode({std::move(input)});
}

}  // namespace

Result<Json> tokenize(const Served& served, const Json& body, int max_length, const chat::ReplyFormat& format,
                      bool allow_unknown) {
  if (!body.is_object()) return invalid("the body must be a JSON object");
  Fields fields(body, allow_unknown);
  fields.find("model");
  const bool chat = fields.find("messages") != nullptr;
  bool special = !chat, names = false;
  TENON_TRY(fields.boolean("add_special_tokens", special));
  TENON_TRY(fields.boolean("return_token_strs", names));
  TENON_ASSIGN(generate::EncodedPrompt prompt, prompt_of(served, format, fields));
  std::vector<std::int32_t> ids = std::move(prompt.ids);
  if (!chat || special) {
    auto encoded = served.tokenizer().encode(prompt.text, special && served.add_special_tokens());
    if (!encoded) return invalid(encoded.error().message, chat ? "messages" : "prompt");
    ids = *std::move(encoded);
  }
  Json strings = nullptr;
  if (names) {
    strings = Json::array();
    for (const std::int32_t id : ids) strings.push_back(served.tokenizer().id_to_token(id).value_or(std::string()));
  }
  return Json{{"count", ids.size()}, {"max_model_len", max_length}, {"tokens", ids}, {"token_strs", strings}};
}

Result<Json> detokenize(const Served& served, const Json& body, bool allow_unknown) {
  if (!body.is_object()) return invalid("the body must be a JSON object");
  Fields fields(body, allow_unknown);
  fields.find("model");
  const Json* tokens = fields.find("tokens");
  if (!tokens || !tokens->is_array()) return wrong("tokens", "must be an array of token ids");
  TENON_TRY(fields.no_others());
  std::vector<std::int32_t> ids;
  TENON_TRY(parse_ids(*tokens, "tokens", ids));
  for (const std::int32_t id : ids) {
    if (id >= served.tokenizer().vocab_size()) {
      return wrong("tokens", "has " + std::to_string(id) + ", but the vocabulary has " +
                                 std::to_string(served.tokenizer().vocab_size()) + " tokens");
    }
  }
  TENON_ASSIGN(std::string text, served.tokenizer().decode(ids, false));
  return Json{{"prompt", std::move(text)}};
}

}  // namespace tenon::server
