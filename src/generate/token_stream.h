// The events of one request -> deltas of text. Runs on the engine thread.
#pragma once

#include <atomic>
#include <memory>
#include <span>
#include <string>
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

class TokenStream {
 public:
  TokenStream(std::shared_ptr<const tokenizer::Tokenizer> tokenizer, bool skip_special_tokens,
              std::vector<std::string> stops, DeltaSink sink, std::shared_ptr<ReplyState> state);

  /// The reply goes on with a text that ends in these ids.
  void begin_after(std::span<const std::int32_t> prompt) { detokenizer_.begin_after(prompt); }

  /// True: a stop string ended the reply, so that the engine need not go on.
  bool take(const engine::TokenEvent& event);

 private:
  Delta delta_of(const engine::TokenEvent& event);

  tokenizer::IncrementalDetokenizer detokenizer_;
  StopScanner scanner_;
  const DeltaSink sink_;
  const std::shared_ptr<ReplyState> state_;
  std::int64_t completion_tokens_ = 0;
};

}  // namespace tenon::generate
