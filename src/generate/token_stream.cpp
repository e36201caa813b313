#include "generate/token_stream.h"

#include <algorithm>
#include <utility>

namespace tenon::generate {

using engine::FinishReason;

namespace {

bool continues(char c) { return (c & 0xC0) == 0x80; }  // a byte of a character of UTF-8, but its first

std::int64_t code_points(std::string_view text) {
  return std::ranges::count_if(text, [](char c) { return !continues(c); });
}

}  // namespace

TokenStream::TokenStream(std::shared_ptr<const tokenizer::Tokenizer> tokenizer, StreamOptions options, DeltaSink sink,
                         std::shared_ptr<ReplyState> state)
    : tokenizer_(tokenizer),
      include_stop_(options.include_stop),
      min_tokens_(options.min_tokens),
      stop_token_ids_(std::move(options.stop_token_ids)),
      detokenizer_(std::move(tokenizer), options.skip_special_tokens),
      scanner_(std::move(options.stop), options.include_stop),
      sink_(std::move(sink)),
      state_(std::move(state)) {}

bool TokenStream::take(const engine::TokenEvent& event) {
  if (state_->finished || state_->closed) return false;
  const Delta delta = delta_of(event);
  const bool last = delta.finish != FinishReason::kNone;
  if (last) state_->finished = true;
  sink_(delta);
  return last && event.finish == FinishReason::kNone;
}

Delta TokenStream::delta_of(const engine::TokenEvent& event) {
  Delta delta{.finish = event.finish,
              .token = event.token,
              .error = event.error,
              .cached_tokens = event.cached_tokens,
              .queue_seconds = event.queue_seconds};
  if (event.token >= 0) ++completion_tokens_;
  delta.completion_tokens = completion_tokens_;
  std::string text = text_of(event);
  if (event.logprobs) {
    delta.logprobs = scored(event.token, *event.logprobs);
    delta.logprobs->length = code_points(text);
  }
  delta.prompt_logprobs = scored_prompt(event.prompt_logprobs);
  Piece piece = settle(event, std::move(text));
  delta.text = std::move(piece.text);
  if (piece.stopped) {
    delta.finish = FinishReason::kStop;
    delta.stop_reason = std::move(piece.stop);
  } else if (event.finish == FinishReason::kStop && std::ranges::count(stop_token_ids_, event.token) > 0) {
    delta.stop_reason = event.token;
  }
  return delta;
}

std::string TokenStream::text_of(const engine::TokenEvent& event) {
  std::string text;
  // The token that ends a reply has a text (<|im_end|>) that is none of the reply.
  const bool shown = event.finish != FinishReason::kStop || include_stop_;
  if (event.token >= 0 && shown) text = detokenizer_.push(event.token);
  if (event.finish != FinishReason::kNone) text += detokenizer_.flush();
  return text;
}

Piece TokenStream::settle(const engine::TokenEvent& event, std::string text) {
  if (completion_tokens_ < min_tokens_) return {std::move(text), false};
  Piece piece = scanner_.push(text);
  if (!piece.stopped && event.finish != FinishReason::kNone) piece.text += scanner_.flush();
  return piece;
}

ScoredToken TokenStream::scored(std::int32_t token, const sampler::TokenLogprobs& logprobs) const {
  ScoredToken out;
  out.bytes = tokenizer::token_bytes(*tokenizer_, token);
  out.logprob = logprobs.logprob;
  out.token = token;
  out.rank = logprobs.rank;
  for (const auto& [best, logprob] : logprobs.top) {
    out.top.push_back({best == token ? out.bytes : tokenizer::token_bytes(*tokenizer_, best), logprob, best});
  }
  return out;
}

// Code points of the prompt's text that its next token makes whole: the text is as the client gave it, so that it need
// not have the special tokens, nor the space before its first word, that the tokenizer adds.
std::int64_t TokenStream::take_prompt_text(std::int32_t token, std::string_view bytes) {
  const std::string_view rest = std::string_view(prompt_text_).substr(prompt_taken_);
  std::size_t count = std::min(bytes.size(), rest.size());
  if (!rest.starts_with(bytes)) {
    if (tokenizer_->is_special(token)) count = 0;
    if (bytes.starts_with(' ') && rest.starts_with(bytes.substr(1))) count = bytes.size() - 1;
  }
  if (prompt_scored_ + 1 == prompt_.size()) count = rest.size();
  prompt_taken_ += count;
  const auto in_character = [this](std::size_t at) { return at < prompt_text_.size() && continues(prompt_text_[at]); };
  return code_points(rest.substr(0, count)) - in_character(prompt_taken_) + in_character(prompt_taken_ - count);
}

std::vector<ScoredToken> TokenStream::scored_prompt(std::span<const sampler::TokenLogprobs> logprobs) {
  std::vector<ScoredToken> out;
  if (prompt_.empty()) return out;
  const auto add = [&](ScoredToken token) {
    token.length = take_prompt_text(prompt_[prompt_scored_], token.bytes);
    ++prompt_scored_;
    out.push_back(std::move(token));
  };
  if (prompt_scored_ == 0)
    add({{.bytes = tokenizer::token_bytes(*tokenizer_, prompt_.front()), .token = prompt_.front()}});
  for (const auto& token : logprobs) add(scored(prompt_[prompt_scored_], token));
  return out;
}

}  // namespace tenon::generate
