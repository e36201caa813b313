#include "generate/token_stream.h"

#include <utility>

namespace tenon::generate {

using engine::FinishReason;

TokenStream::TokenStream(std::shared_ptr<const tokenizer::Tokenizer> tokenizer, bool skip_special_tokens,
                         std::vector<std::string> stops, DeltaSink sink, std::shared_ptr<ReplyState> state)
    : detokenizer_(std::move(tokenizer), skip_special_tokens),
      scanner_(std::move(stops)),
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
  Delta delta{.finish = event.finish, .error = event.error};
  if (event.token >= 0) ++completion_tokens_;
  delta.completion_tokens = completion_tokens_;
  std::string text;
  // The token that ends a reply has a text (<|im_end|>) that is none of the reply.
  if (event.token >= 0 && event.finish != FinishReason::kStop) text = detokenizer_.push(event.token);
  if (event.finish != FinishReason::kNone) text += detokenizer_.flush();
  Piece piece = scanner_.push(text);
  delta.text = std::move(piece.text);
  if (piece.stopped) {
    delta.finish = FinishReason::kStop;
  } else if (event.finish != FinishReason::kNone) {
    delta.text += scanner_.flush();
  }
  return delta;
}

}  // namespace tenon::generate
