// server/openai.h, embeddings.h, tokenize.h: a body is a request that keeps its promises, or an error with a status of
// 4xx. The first byte chooses the endpoint (from 128 on /v1/responses in the place of chats), the notation of the
// model, and whether unknown fields are allowed.
#include <cstdint>
#include <iterator>
#include <memory>
#include <string>

#include "base/check.h"
#include "generate/generator.h"
#include "server/embeddings.h"
#include "server/openai.h"
#include "server/responses_request.h"
#include "server/structured.h"
#include "server/tokenize.h"

namespace {

using namespace tenon;

// One token a byte.
class Bytes final : public tokenizer::Tokenizer {
 public:
  Result<std::vector<std::int32_t>> encode(std::string_view text, bool) const override {
    const auto bytes = reinterpret_cast<const std::uint8_t*>(text.data());
    return std::vector<std::int32_t>(bytes, bytes + text.size());
  }
  Result<std::string> decode(std::span<const std::int32_t> ids, bool) const override {
    std::string text;
    for (const std::int32_t id : ids) text += static_cast<char>(id);
    return text;
  }
  std::optional<std::int32_t> token_to_id(std::string_view) const override { return std::nullopt; }
  std::optional<std::string> id_to_token(std::int32_t id) const override {
    return std::string(1, static_cast<char>(id));
  }
  bool is_special(std::int32_t) const override { return false; }
  std::int32_t vocab_size() const override { return 256; }
};

class Template final : public chat::ChatTemplate {
 public:
  Result<std::string> render(const chat::RenderInput& input, std::int64_t) const override {
    TENON_CHECK(input.messages.is_array() && !input.messages.empty() && input.kwargs.is_object());
    for (const Json& message : input.messages) TENON_CHECK(message.is_object() && message["role"].is_string());
    TENON_CHECK(input.tools.is_null() || input.tools.is_array());
    return input.messages.dump();
  }
};

// Runs nothing.
class Engine final : public engine::Engine {
 public:
  Result<std::vector<engine::RequestId>> submit_all(std::vector<engine::Submission>) override {
    return fail(ErrorCode::kUnavailable, "this engine takes no requests");
  }
  void cancel(engine::RequestId) override {}
  void finish(engine::RequestId) override {}
  void drain() override {}
  engine::Stats stats() const override { return {}; }
  const engine::Options& options() const override { return options_; }

 private:
  engine::Options options_;
};

const generate::Generator& generator() {
  static const generate::Generator one({.engine = std::make_shared<Engine>(),
                                        .tokenizer = std::make_shared<Bytes>(),
                                        .chat_template = std::make_shared<Template>(),
                                        .eos_token_ids = {},
                                        .add_special_tokens = {}});
  return one;
}

void check_error(const Error& error) {
  const int status = server::http_status(error);
  TENON_CHECK(status >= 400 && status < 500, "status " + std::to_string(status) + ": " + error.message);
  TENON_CHECK(!error.message.empty() && server::dump(server::error_object(status, error)).starts_with("{\"error\":"));
}

void check_completion(const server::ParsedRequest& request, bool chat) {
  const generate::GenerateRequest& g = request.generate;
  if (const auto valid = g.sampling.validate(); !valid) TENON_CHECK(false, valid.error().message);
  TENON_CHECK(g.sampling.temperature <= 2 && g.sampling.top_p > 0 && g.sampling.repetition_penalty <= 100);
  TENON_CHECK(request.n >= 1 && request.n <= 128 &&
              request.prompts.size() * static_cast<std::size_t>(request.n) <= 2048);
  TENON_CHECK(!request.prompts.empty() && (!chat || (request.prompts.size() == 1 && !request.echo)));
  TENON_CHECK(g.stop.size() <= 16 && g.timeout >= 0 && g.timeout <= 1e6 && g.cache_salt.size() <= 1024);
  for (const std::string& stop : g.stop) TENON_CHECK(!stop.empty() && stop.size() <= 256);
  TENON_CHECK(request.bad_words.size() <= 1024 && (chat || request.echoed.empty()));
  TENON_CHECK(request.prompt_logprobs <= g.prompt_logprobs && (!request.stream || request.prompt_logprobs < 0));
  TENON_CHECK(request.truncate_prompt_tokens.value_or(1) != 0 && request.truncate_prompt_tokens.value_or(1) >= -1);
  if (const auto words = generator().encode_bad_words(request.bad_words); !words) return check_error(words.error());
  for (const std::int32_t id : g.stop_token_ids) TENON_CHECK(id >= 0);
  TENON_CHECK(g.min_tokens >= 0 && g.min_tokens <= g.max_tokens.value_or(g.min_tokens));
  TENON_CHECK(!g.max_tokens || *g.max_tokens >= (request.echo ? 0 : 1));
  TENON_CHECK(request.stream || (!request.include_usage && !request.continuous_usage));
  TENON_CHECK(g.sampling.top_logprobs >= -1 && request.logprobs == (g.sampling.top_logprobs >= 0));
  TENON_CHECK(chat || (request.tools.empty() && request.call_rules.empty()));
  TENON_CHECK(request.tool_choice == server::ToolChoice::kAuto || !request.call_rules.empty());
  for (generate::Prompt prompt : request.prompts) {
    const auto encoded = generator().encode(std::move(prompt));
    if (!encoded) return check_error(encoded.error());
    const auto source = server::reply_source(request, *encoded, generator());
    if (!source) return check_error(source.error());
    TENON_CHECK(!*source || !(*source)->param.empty());
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::uint8_t choice = data[0];
  static const chat::ReplyFormat kFormats[] = {{"", ""},        {"hermes", "qwen3"}, {"llama3_json", ""},
                                               {"mistral", ""}, {"gemma", ""},       {"harmony", "harmony"}};
  const chat::ReplyFormat& format = kFormats[choice / 8 % std::size(kFormats)];
  const bool allow_unknown = choice % 8 > 4;
  const server::RequestDefaults defaults{.sampling = {},
                                         .template_reads_effort = !format.reasoning.empty(),
                                         .template_reads_documents = !format.tools.empty(),
                                         .allow_unknown_fields = allow_unknown};
  const std::string text(reinterpret_cast<const char*>(data) + 1, size - 1);
  // As the API reads a body.
  const auto body = parse_json(text, "request body", {.max_bytes = text.size(), .max_depth = 64});
  if (!body) return check_error(body.error()), 0;
  const server::Served served{.generator = std::shared_ptr<const generate::Generator>(&generator(), [](auto*) {})};
  switch (choice % 5) {
    case 0: {
      const bool responses = choice >= 128;
      const auto chat = responses ? server::parse_responses_request(*body, defaults, format)
                                  : server::parse_chat_request(*body, defaults, format);
      TENON_CHECK(!chat || chat->response.is_object() == responses);
      chat ? check_completion(*chat, true) : check_error(chat.error());
      break;
    }
    case 1: {
      const auto completion = server::parse_completion_request(*body, defaults);
      completion ? check_completion(*completion, false) : check_error(completion.error());
      break;
    }
    case 2: {
      const auto parsed = server::parse_embeddings_request(*body, allow_unknown);
      if (!parsed) return check_error(parsed.error()), 0;
      TENON_CHECK(!parsed->embed.inputs.empty() && parsed->embed.inputs.size() <= 2048);
      TENON_CHECK(parsed->embed.dimensions.value_or(1) >= 1 && parsed->embed.truncate_prompt_tokens.value_or(0) >= -1);
      break;
    }
    case 3: {
      const auto tokens = server::tokenize(served, *body, 4096, format, allow_unknown);
      if (!tokens) return check_error(tokens.error()), 0;
      TENON_CHECK((*tokens)["count"] == (*tokens)["tokens"].size() && !server::dump(*tokens).empty());
      break;
    }
    default: {
      const auto decoded = server::detokenize(served, *body, allow_unknown);
      if (!decoded) return check_error(decoded.error()), 0;
      TENON_CHECK(!server::dump(*decoded).empty());
    }
  }
  return 0;
}
