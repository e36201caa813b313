#include "generate/generator.h"

#include <algorithm>
#include <ctime>
#include <limits>
#include <utility>

#include "base/check.h"
#include "chat/whole_prompt.h"
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

grammar::Vocabulary vocabulary_of(const tokenizer::Tokenizer& tokenizer, const std::vector<std::int32_t>& eos) {
  grammar::Vocabulary out;
  out.eos_token_ids = eos;
  std::erase_if(out.eos_token_ids, [&](std::int32_t id) { return id < 0 || id >= tokenizer.vocab_size(); });
  for (std::int32_t id = 0; id < tokenizer.vocab_size(); ++id) {
    out.tokens.push_back({.bytes = tokenizer::token_bytes(tokenizer, id), .special = tokenizer.is_special(id)});
  }
  // What ends the reply is never part of it, even where the tokenizer takes it for a text.
  for (const std::int32_t id : out.eos_token_ids) out.tokens[static_cast<std::size_t>(id)].special = true;
  return out;
}

const char* prompt_param(bool chat) { return chat ? "messages" : "prompt"; }

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

Generator::Generator(Parts parts) : parts_(std::move(parts)) {
  TENON_CHECK(parts_.engine && parts_.tokenizer);
  grammars_ = grammar::Compiler::create([tokenizer = parts_.tokenizer, eos = parts_.eos_token_ids] {
    return Result<grammar::Vocabulary>(vocabulary_of(*tokenizer, eos));
  });
}

Result<EncodedPrompt> Generator::encode_checked(Prompt prompt) const {
  if (auto* encoded = std::get_if<EncodedPrompt>(&prompt.value)) return std::move(*encoded);
  EncodedPrompt out;
  if (auto* ids = std::get_if<std::vector<std::int32_t>>(&prompt.value)) {
    out.ids = std::move(*ids);
    TENON_ASSIGN(out.text, parts_.tokenizer->decode(out.ids, false));
  } else if (auto* text = std::get_if<std::string>(&prompt.value)) {
    out.text = std::move(*text);
    const bool special = prompt.add_special_tokens.value_or(parts_.add_special_tokens.value_or(true));
    TENON_ASSIGN(out.ids, parts_.tokenizer->encode(out.text, special));
  } else {
    if (!parts_.chat_template) return unsupported("this model has no chat template: it takes text prompts only");
    const auto& conversation = std::get<chat::RenderInput>(prompt.value);
    out.chat = true;
    const bool special = prompt.add_special_tokens.value_or(false);  // the template has written them
    TENON_ASSIGN(out.text, chat::render_whole(*parts_.chat_template, conversation, std::time(nullptr)));
    TENON_ASSIGN(out.ids, parts_.tokenizer->encode(out.text, special));
    if (conversation.continue_final_message) {
      const Json content = conversation.messages.back().value("content", Json());
      if (content.is_string()) out.continued = content;
    }
  }
  if (const auto most = prompt.keep_last; most && std::ssize(out.ids) > *most) {
    out.ids.erase(out.ids.begin(), out.ids.end() - *most);
    TENON_ASSIGN(out.text, parts_.tokenizer->decode(out.ids, false));
  }
  return out;
}

Result<EncodedPrompt> Generator::encode(Prompt prompt) const {
  const bool chat = std::holds_alternative<chat::RenderInput>(prompt.value);
  auto encoded = encode_checked(std::move(prompt));
  if (!encoded) {
    Error error = std::move(encoded).error();
    if (error.param.empty()) error.param = prompt_param(chat);
    return std::unexpected(std::move(error));
  }
  return encoded;
}

Result<std::vector<std::vector<std::int32_t>>> Generator::encode_bad_words(
    const std::vector<std::string>& words) const {
  std::vector<std::vector<std::int32_t>> out;
  for (const std::string& word : words) {
    const std::string bare = word.substr(std::min(word.find_first_not_of(" \t\n\r\f\v"), word.size()));
    TENON_ASSIGN(auto ids, parts_.tokenizer->encode(bare, false));
    if (ids.empty()) {
      return invalid(
          "'bad_words' has a string of white space alone, of which words are stripped: 'logit_bias' can forbid its "
          "tokens",
          "bad_words");
    }
    TENON_ASSIGN(auto spaced, parts_.tokenizer->encode(" " + bare, false));
    const bool differs = spaced.size() == ids.size() && spaced.front() != ids.front();
    out.push_back(std::move(ids));
    if (differs) out.push_back(std::move(spaced));
  }
  return out;
}

struct Generator::Prepared {
  engine::Submission submission;
  std::int64_t prompt_tokens;
  bool chat;
  std::shared_ptr<ReplyState> state;
};

Result<Generator::Prepared> Generator::prepare(Start start) const {
  auto& [request, sink] = start;
  TENON_CHECK(sink);
  TENON_TRY(request.sampling.validate());
  TENON_TRY(check_stops(request.stop));
  if (request.max_tokens && *request.max_tokens < 0) {
    return invalid("max_tokens must not be negative, but is " + std::to_string(*request.max_tokens), "max_tokens");
  }
  TENON_ASSIGN(EncodedPrompt prompt, encode(std::move(request.prompt)));

  const auto prompt_tokens = static_cast<std::int64_t>(prompt.ids.size());
  std::vector<std::int32_t> stop_token_ids = request.stop_token_ids;
  for (const std::int32_t id : stop_token_ids) {
    if (id >= 0 && id < parts_.tokenizer->vocab_size()) continue;
    return invalid("stop_token_ids has token id " + std::to_string(id) + ", which is outside of the vocabulary of " +
                       std::to_string(parts_.tokenizer->vocab_size()) + " tokens",
                   "stop_token_ids");
  }
  if (!request.ignore_eos) {
    stop_token_ids.insert(stop_token_ids.end(), parts_.eos_token_ids.begin(), parts_.eos_token_ids.end());
  }
  std::shared_ptr<grammar::Matcher> matcher;
  if (request.grammar) {
    TENON_ASSIGN(matcher, request.grammar->matcher());
  }
  // The end tokens of the model are no reason of the request's, also where it names them.
  std::vector<std::int32_t> own_stops = request.stop_token_ids;
  if (!request.ignore_eos) {
    std::erase_if(own_stops, [&](std::int32_t id) { return std::ranges::count(parts_.eos_token_ids, id) > 0; });
  }
  auto state = std::make_shared<ReplyState>();
  auto stream = std::make_shared<TokenStream>(parts_.tokenizer,
                                              StreamOptions{.skip_special_tokens = request.skip_special_tokens,
                                                            .include_stop = request.include_stop,
                                                            .min_tokens = request.min_tokens,
                                                            .stop = std::move(request.stop),
                                                            .stop_token_ids = std::move(own_stops)},
                                              std::move(sink), state);
  if (!prompt.chat || !prompt.continued.empty()) stream->begin_after(prompt.ids);
  if (request.prompt_logprobs >= 0) stream->score_prompt(prompt.ids, std::move(prompt.text));
  // The engine owns its sink, so that the sink must not own the engine.
  auto events =
      std::make_shared<engine::Sink>([stream, engine = parts_.engine.get()](std::span<const engine::TokenEvent> batch) {
        for (const auto& event : batch) {
          if (stream->take(event)) engine->finish(event.id);
        }
      });
  return Prepared{
      .submission = {.request = {.prompt = std::move(prompt.ids),
                                 .sampling = std::move(request.sampling),
                                 .max_tokens = request.max_tokens.value_or(std::numeric_limits<std::int64_t>::max()),
                                 .stop_token_ids = std::move(stop_token_ids),
                                 .min_tokens = request.min_tokens,
                                 .prompt_logprobs = request.prompt_logprobs,
                                 .priority = request.priority,
                                 .timeout = request.timeout,
                                 .cache_salt = std::move(request.cache_salt),
                                 .matcher = std::move(matcher)},
                     .sink = std::move(events)},
      .prompt_tokens = prompt_tokens,
      .chat = prompt.chat,
      .state = std::move(state)};
}

Result<std::vector<std::unique_ptr<Reply>>> Generator::start_all(std::vector<Start> starts) const {
  std::vector<Prepared> all;
  std::vector<engine::Submission> submissions;
  for (Start& start : starts) {
    TENON_ASSIGN(Prepared one, prepare(std::move(start)));
    submissions.push_back(std::move(one.submission));
    all.push_back(std::move(one));
  }
  const auto ids = parts_.engine->submit_all(std::move(submissions));
  if (!ids) {
    // The engine does not know what the client calls its prompt.
    Error error = ids.error();
    if (error.param == "prompt" || (error.param.empty() && error.code == ErrorCode::kInvalidArgument)) {
      error.param = prompt_param(all.front().chat);
    }
    return std::unexpected(std::move(error));
  }
  std::vector<std::unique_ptr<Reply>> replies;
  for (std::size_t i = 0; i < all.size(); ++i) {
    replies.push_back(
        std::make_unique<EngineReply>(parts_.engine, (*ids)[i], all[i].prompt_tokens, std::move(all[i].state)));
  }
  return replies;
}

Result<std::unique_ptr<Reply>> Generator::start(GenerateRequest request, DeltaSink sink) const {
  std::vector<Start> one;
  one.push_back({std::move(request), std::move(sink)});
  TENON_ASSIGN(auto replies, start_all(std::move(one)));
  return std::move(replies.front());
}

}  // namespace tenon::generate
