// The events of one request -> deltas of text. Runs on the engine thread.
#pragma once

#include <atomic>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/engine.h"
#include "generate/generator.h"
#include "generate/stop_scanner.h"
#include "tokenizer/tokenizer.h"

namespace tenon::generate {

/// What a Reply and its stream share.
struct ReplyState {
  std::atomic<bool> closed{false};    ///< the handle is gone: nobody wants further deltas
  std::atomic<bool> finished{false};  ///< the last delta was sent
};

struct StreamOptions {
  bool skip_special_tokens = true;
  bool include_stop = false;
  std::int64_t min_tokens = 0;
  std::vector<std::string> stop = {};
  std::vector<std::int32_t> stop_token_ids = {};  ///< the request's own
};

class TokenStream {
 public:
  TokenStream(std::shared_ptr<const tokenizer::Tokenizer> tokenizer, StreamOptions options, DeltaSink sink,
              std::shared_ptr<ReplyState> state);

  /// The reply goes on with a text that ends in these ids.
  void begin_after(std::span<const std::int32_t> prompt) { detokenizer_.begin_after(prompt); }
  /// Logprobs of these ids, which make this text, will come.
  void score_prompt(std::vector<std::int32_t> prompt, std::string text) {
    prompt_ = std::move(prompt);
    prompt_text_ = std::move(text);
  }

  /// True: a stop string ended the reply, so that the engine need not go on.
  bool take(const engine::TokenEvent& event);

 private:
  Delta delta_of(const engine::TokenEvent& event);
  std::string text_of(const engine::TokenEvent& event);
  Piece settle(const engine::TokenEvent& event, std::string text);
  ScoredToken scored(std::int32_t token, const sampler::TokenLogprobs& logprobs) const;
  std::int64_t take_prompt_text(std::int32_t token, std::string_view bytes);
  std::vector<ScoredToken> scored_prompt(std::span<const sampler::TokenLogprobs> logprobs);

  const std::shared_ptr<const tokenizer::Tokenizer> tokenizer_;
  const bool include_stop_;
  const std::int64_t min_tokens_;
  const std::vector<std::int32_t> stop_token_ids_;
  tokenizer::IncrementalDetokenizer detokenizer_;
  StopScanner scanner_;
  const DeltaSink sink_;
  const std::shared_ptr<ReplyState> state_;
  std::int64_t completion_tokens_ = 0;
  std::vector<std::int32_t> prompt_;  ///< if it is scored
  std::string prompt_text_;
  std::size_t prompt_scored_ = 0;  ///< tokens of it that were passed on
  std::size_t prompt_taken_ = 0;   ///< bytes of its text that are theirs
};

}  // namespace tenon::generate
