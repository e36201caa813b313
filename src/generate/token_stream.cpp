#include "generate/token_stream.h"

#include <utility>

namespace tenon::generate {

using engine::FinishReason;

TokenStream::TokenStream(std::shared_ptr<const tokenizer::Tokenizer> tokenizer, StreamOptions options, DeltaSink sink,
                         std::shared_ptr<ReplyState> state)
    : tokenizer_(tokenizer),
      include_stop_(options.include_stop),
      min_tokens_(options.min_tokens),
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
              .error = event.error,
              .cached_tokens = event.cached_tokens,
              .queue_seconds = event.queue_seconds};
  if (event.token >= 0) ++completion_tokens_;
  delta.completion_tokens = completion_tokens_;
  if (event.logprobs) delta.logprobs = scored(event.token, *event.logprobs);
  delta.prompt_logprobs = scored_prompt(event.prompt_logprobs);
  Piece piece = settle(event);
  delta.text = std::move(piece.text);
  if (piece.stopped) delta.finish = FinishReason::kStop;
  return delta;
}

Piece TokenStream::settle(const engine::TokenEvent& event) {
  std::string text;
  // The token that ends a reply has a text (<|im_end|>) that is none of the reply.
  const bool shown = event.finish != FinishReason::kStop || include_stop_;
  if (event.token >= 0 && shown) text = detokenizer_.push(event.token);
  if (event.finish != FinishReason::kNone) text += detokenizer_.flush();
  if (completion_tokens_ < min_tokens_) return {std::move(text), false};
  Piece piece = scanner_.push(text);
  if (!piece.stopped && event.finish != FinishReason::kNone) piece.text += scanner_.flush();
  return piece;
}

ScoredToken TokenStream::scored(std::int32_t token, const sampler::TokenLogprobs& logprobs) const {
  ScoredToken out;
  out.bytes = tokenizer::token_bytes(*tokenizer_, token);
  out.logprob = logprobs.logprob;
  for (const auto& [best, logprob] : logprobs.top) {
    out.top.push_back({best == token ? out.bytes : tokenizer::token_bytes(*tokenizer_, best), logprob});
  }
  return out;
}

std::vector<ScoredToken> TokenStream::scored_prompt(std::span<const sampler::TokenLogprobs> logprobs) {
  std::vector<ScoredToken> out;
  if (prompt_.empty()) return out;
  if (prompt_scored_ == 0) {
    out.emplace_back().bytes = tokenizer::token_bytes(*tokenizer_, prompt_[prompt_scored_++]);
  }
  for (const auto& token : logprobs) out.push_back(scored(prompt_[prompt_scored_++], token));
  return out;
}

}  // namespace tenon::generate
