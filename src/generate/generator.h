// Conversation -> text deltas: the one API that the server and the command line share. Tokenizes, renders chat
// templates, submits to the engine, detokenizes, finds stop strings.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "chat/chat_template.h"
#include "engine/engine.h"
#include "grammar/grammar.h"
#include "tokenizer/tokenizer.h"

namespace tenon::generate {

/// A prompt as the engine takes it.
struct EncodedPrompt {
  std::vector<std::int32_t> ids;
  std::string text;            ///< as it was given or rendered; of ids, decoded
  bool chat = false;           ///< a conversation
  std::string continued = {};  ///< the last message of a conversation, where the reply goes on with it
};

struct Prompt {
  /// Text to be tokenized with the tokenizer's special tokens, token ids, a conversation, or what encode() made of one
  /// of these.
  std::variant<std::string, std::vector<std::int32_t>, chat::RenderInput, EncodedPrompt> value;
  std::optional<bool> add_special_tokens = {};  ///< to a text or a rendered conversation; none: the model's way, not
  std::optional<std::int64_t> keep_last = {};   ///< of its tokens, at least 1; none: all
};

struct GenerateRequest {
  Prompt prompt = {};
  sampler::SamplingParams sampling = {};
  std::optional<std::int64_t> max_tokens = {};  ///< none: as many as the context leaves; 0: the prompt is only read
  std::vector<std::string> stop = {};           ///< the reply ends before the first of these; at most 16 of 256 bytes
  std::vector<std::int32_t> stop_token_ids = {};
  bool ignore_eos = false;
  bool skip_special_tokens = true;
  bool include_stop = false;    ///< the text ends with the stop string or token that ended it
  std::int64_t min_tokens = 0;  ///< before so many tokens nothing stops the reply
  int priority = 0;             ///< lower runs earlier
  double timeout = 0;           ///< seconds until it ends with kTimeout; 0: none
  std::string cache_salt = {};  ///< prefixes are shared only among requests of the same salt
  int prompt_logprobs = -1;     ///< -1: none; else logprobs of the prompt's tokens, and of this many best ones each
  std::shared_ptr<const grammar::Grammar> grammar =
      {};  ///< what the reply must be (Generator::grammars); null: anything
};

/// A token's bytes (tokenizer::token_bytes) and the logarithm of its probability, which may be -inf.
struct TokenLogprob {
  std::string bytes = {};
  std::optional<float> logprob = {};  ///< none: the prompt's first token has nothing before it
  std::int32_t token = -1;
};
struct ScoredToken : TokenLogprob {
  std::vector<TokenLogprob> top = {};  ///< the best ones, if asked for
  std::int64_t length = 0;             ///< code points of the text that the token makes whole; 0: it is not shown
  std::int64_t rank = 0;               ///< of a prompt's token among all (sampler::rank)
};

/// What of the request's own ended a reply: one of its stop_token_ids or stop strings.
using StopReason = std::variant<std::monostate, std::int32_t, std::string>;

/// Text that one token settled. Half characters and text that could begin a stop string are held back.
struct Delta {
  std::string text = {};
  engine::FinishReason finish = engine::FinishReason::kNone;  ///< the last delta of the reply
  StopReason stop_reason = {};                                ///< of kStop; none: the model ended the reply itself
  std::int64_t completion_tokens = 0;                         ///< so far
  std::int32_t token = -1;                                    ///< -1: none
  std::string error = {};                                     ///< of kError and kGrammar
  std::optional<ScoredToken> logprobs = {};                   ///< of the token, if asked for
  std::vector<ScoredToken> prompt_logprobs = {};  ///< of the prompt's next tokens, all before the reply's first
  std::int64_t cached_tokens = 0;                 ///< of the prompt, taken from the prefix cache
  double queue_seconds = 0;                       ///< that the request waited before it first ran
};

/// Called on the engine thread for each token, its text may be empty; must not block or throw. The first calls may come
/// before start() has returned. The engine keeps it until the request has ended.
using DeltaSink = std::function<void(const Delta&)>;

/// What to generate, and who gets it.
struct Start {
  GenerateRequest request;
  DeltaSink sink;
};

/// A running reply. Destroying the handle before its last delta cancels it: then no further call of the sink begins,
/// though one may still be running.
class Reply {
 public:
  virtual ~Reply() = default;
  virtual std::int64_t prompt_tokens() const = 0;
  virtual void cancel() = 0;  ///< a last delta of kCancelled follows
};

class Generator {
 public:
  struct Parts {
    std::shared_ptr<engine::Engine> engine;
    std::shared_ptr<const tokenizer::Tokenizer> tokenizer;
    std::shared_ptr<const chat::ChatTemplate> chat_template;  ///< null: chat requests are refused, saying so
    std::vector<std::int32_t> eos_token_ids;
    std::optional<bool> add_special_tokens;  ///< of text prompts; none: true
  };
  explicit Generator(Parts parts);

  /// What a prompt is in tokens. Errors name "prompt" or "messages".
  Result<EncodedPrompt> encode(Prompt prompt) const;
  /// Words that a reply must not have, as sampler::SamplingParams::bad_words; also with a space before them, where that
  /// makes them tokens of their own, as in vLLM. Errors name "bad_words".
  Result<std::vector<std::vector<std::int32_t>>> encode_bad_words(const std::vector<std::string>& words) const;
  /// Starts replies that belong together, all or none. Errors are the client's (kInvalidArgument with `param`) or the
  /// engine's (queue full, draining).
  Result<std::vector<std::unique_ptr<Reply>>> start_all(std::vector<Start> starts) const;
  /// The same for one.
  Result<std::unique_ptr<Reply>> start(GenerateRequest request, DeltaSink sink) const;

  const engine::Engine& engine() const { return *parts_.engine; }
  const tokenizer::Tokenizer& tokenizer() const { return *parts_.tokenizer; }
  const Parts& parts() const { return parts_; }
  /// Grammars over this model's tokens.
  grammar::Compiler& grammars() const { return *grammars_; }
  bool has_chat_template() const { return parts_.chat_template != nullptr; }

 private:
  struct Prepared;
  Result<EncodedPrompt> encode_checked(Prompt prompt) const;
  Result<Prepared> prepare(Start start) const;

  Parts parts_;
  std::unique_ptr<grammar::Compiler> grammars_;
};

}  // namespace tenon::generate
