#include "generate/generator.h"

#include <algorithm>
#include <ctime>
#include <limits>
#include <utility>

#include "base/check.h"
#include "generate/token_stream.h"

namespace tenon::generate {
namespace {

constexpr std::size_t kMaxStops = 16;
constexpr std::size_t kMaxStopBytes = 256;

class EngineReply final : public Reply {
 public:
  EngineReply(std::shared_ptr<engine::Engine> engine, engine::RequestId id, std::int64_t prompt_tokens,
              std::shared_ptr<ReplyState> state)
      : engine_(std::move(engine)), id_(id), prompt_tokens_(prompt_tokens), state_(std::move(state)) {}
  ~EngineReply() override {
    state_->closed = true;
    if (!state_->finished) engine_->cancel(id_);
  }

  std::int64_t prompt_tokens() const override { return prompt_tokens_; }
  void cancel() override { engine_->cancel(id_); }

 private:
  const std::shared_ptr<engine::Engine> engine_;
  const engine::RequestId id_;
  const std::int64_t prompt_tokens_;
  const std::shared_ptr<ReplyState> state_;
};

Status check_stops(const std::vector<std::string>& stops) {
  if (stops.size() > kMaxStops) {
    return invalid("stop has " + std::to_string(stops.size()) + " strings, but at most " + std::to_string(kMaxStops) +
                       " are allowed",
                   "stop");
  }
  for (const auto& stop : stops) {
    if (stop.empty()) return invalid("a stop string is empty", "stop");
    if (stop.size() > kMaxStopBytes) {
      return invalid("a stop string has " + std::to_string(stop.size()) + " bytes, but at most " +
                         std::to_string(kMaxStopBytes) + " are allowed",
                     "stop");
    }
    // One that began inside of a character would cut it in two.
    if ((static_cast<unsigned char>(stop[0]) & 0xC0) == 0x80) return invalid("a stop string is not UTF-8", "stop");
  }
  return {};
}

}  // namespace

Generator::Generator(Parts parts) : parts_(std::move(parts)) { TENON_CHECK(parts_.engine && parts_.tokenizer); }

Result<std::vector<std::int32_t>> Generator::token_ids(Prompt prompt) const {
  if (auto* ids = std::get_if<std::vector<std::int32_t>>(&prompt.value)) return std::move(*ids);
  if (const auto* text = std::get_if<std::string>(&prompt.value)) {
    return parts_.tokenizer->encode(*text, parts_.add_special_tokens.value_or(true));
  }
  if (!parts_.chat_template) return unsupported("this model has no chat template: it takes text prompts only");
  const auto& conversation = std::get<chat::RenderInput>(prompt.value);
  TENON_ASSIGN(const std::string text, parts_.chat_template->render(conversation, std::time(nullptr)));
  return parts_.tokenizer->encode(text, false);  // the template has written the special tokens
}

Result<std::unique_ptr<Reply>> Generator::start(GenerateRequest request, DeltaSink sink) const {
  TENON_CHECK(sink);
  TENON_TRY(request.sampling.validate());
  TENON_TRY(check_stops(request.stop));
  if (request.max_tokens && *request.max_tokens < 1) {
    return invalid("max_tokens must be at least 1, not " + std::to_string(*request.max_tokens), "max_tokens");
  }
  const bool chat = std::holds_alternative<chat::RenderInput>(request.prompt.value);
  const char* const prompt_param = chat ? "messages" : "prompt";
  // The tokenizer and the engine do not know what the client calls its prompt.
  const auto about_prompt = [&](Error error) {
    if (error.param.empty() || error.param == "prompt") error.param = prompt_param;
    return std::unexpected(std::move(error));
  };
  auto ids = token_ids(std::move(request.prompt));
  if (!ids) return about_prompt(std::move(ids).error());

  const auto prompt_tokens = static_cast<std::int64_t>(ids->size());
  std::vector<std::int32_t> stop_token_ids = std::move(request.stop_token_ids);
  if (!request.ignore_eos) {
    stop_token_ids.insert(stop_token_ids.end(), parts_.eos_token_ids.begin(), parts_.eos_token_ids.end());
  }
  auto state = std::make_shared<ReplyState>();
  auto stream = std::make_shared<TokenStream>(parts_.tokenizer, request.skip_special_tokens, std::move(request.stop),
                                              std::move(sink), state);
  // A chat reply is a text of its own; a completion goes on with its prompt.
  if (!chat) stream->begin_after(*ids);
  // The engine owns its sink, so that the sink must not own the engine.
  auto events =
      std::make_shared<engine::Sink>([stream, engine = parts_.engine.get()](std::span<const engine::TokenEvent> batch) {
        for (const auto& event : batch) {
          if (stream->take(event)) engine->finish(event.id);
        }
      });
  auto id = parts_.engine->submit({.prompt = std::move(*ids),
                                   .sampling = request.sampling,
                                   .max_tokens = request.max_tokens.value_or(std::numeric_limits<std::int64_t>::max()),
                                   .stop_token_ids = std::move(stop_token_ids)},
                                  std::move(events));
  if (!id)
    return id.error().code == ErrorCode::kInvalidArgument ? about_prompt(id.error()) : std::unexpected(id.error());
  return std::make_unique<EngineReply>(parts_.engine, *id, prompt_tokens, std::move(state));
}

}  // namespace tenon::generate
