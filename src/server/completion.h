// One running request: deltas of its choices from the engine thread become an answer, whole or streamed.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "generate/generator.h"
#include "server/exchange.h"
#include "server/metrics.h"
#include "server/openai.h"
#include "server/responses_reply.h"

namespace tenon::server {

/// Answers with an error and its HTTP status.
void refuse(Exchange& exchange, int status, const Error& error, Exchange::Headers headers = {});
void refuse(Exchange& exchange, const Error& error);

class Completion : public std::enable_shared_from_this<Completion> {
 public:
  /// Starts the replies to a request that came at `begin`, after their grammar has been compiled where they have one;
  /// it keeps itself alive until their last deltas or the client's hang-up. An error has not been answered yet. The
  /// generator must live as long as the exchange posts.
  static Status start(const generate::Generator& generator, ParsedRequest request, ReplyIdentity identity,
                      TimePoint begin, std::shared_ptr<Exchange> exchange, Metrics& metrics);

 private:
  struct Choice {
    std::unique_ptr<generate::Reply> reply;       ///< null: ended
    std::string echo;                             ///< what the reply begins with, until it is shown
    std::string text, reasoning;                  ///< of a whole answer
    std::unique_ptr<chat::ReplyParser> parser;    ///< null: all of the text is content
    std::vector<Json> calls;                      ///< tool calls, as a whole answer has them
    bool skips_call = false;                      ///< the call that goes on is one more than is wanted
    std::vector<generate::ScoredToken> logprobs;  ///< not yet sent
    std::int64_t offset = 0;                      ///< of the next token's text
    std::vector<std::int32_t> token_ids = {};     ///< not yet sent, if they are wanted
    Json prompt_token_ids = nullptr;              ///< the same, of a prompt's first choice
    Json prompt_logprobs = nullptr;               ///< the same
    bool shows_prompt = false;                    ///< a chunk is to have prompt_token_ids
    std::int64_t prompt_left = 0;                 ///< tokens of the prompt whose logprobs are to come
    std::vector<generate::Delta> held = {};       ///< until those of an echo, which the first choice has, are there
    std::int64_t max_tokens = 0;                  ///< that it might have
    std::int64_t completion_tokens = 0;
    std::int64_t cached_tokens = 0;
    const char* finish_reason = nullptr;
    Json stop_reason = nullptr;
    ReplyTimes times;
  };

  Completion(ReplyIdentity identity, TimePoint begin, std::shared_ptr<Exchange> exchange, Metrics& metrics,
             const ParsedRequest& request);
  Status begin(const generate::Generator& generator, ParsedRequest request);
  Status start_choices(const generate::Generator& generator, const ParsedRequest& request,
                       const std::vector<generate::EncodedPrompt>& prompts);
  void begin_stream();
  void on_delta(std::size_t index, generate::Delta delta);
  void share_echo(std::size_t first);
  void release(std::size_t first);
  void end(std::size_t index, const char* reason);
  void abandon();
  chat::ReplyParts take_parts(Choice& choice, const generate::Delta& delta);
  ChoiceJson take_call(Choice& choice, const chat::ReplyPart& part);
  void keep(Choice& choice, const generate::Delta& delta);
  std::vector<ChoiceJson> take_pieces(std::size_t index, const generate::Delta& delta);
  void send(std::size_t index, const generate::Delta& delta);
  void send_chunk(Json chunk);
  void keep_prompt(Choice& choice, std::vector<generate::ScoredToken> tokens) const;
  Json take_logprobs(Choice& choice);
  const Choice& first_of_prompt(std::size_t index) const;
  void fail(const generate::Delta& last);
  Error in_words(Error error) const;
  void finish();
  Usage usage() const;                            ///< of all choices so far
  std::optional<Usage> continuous_usage() const;  ///< for a chunk, where the client wants it in each

  const ReplyIdentity identity_;
  const std::shared_ptr<Exchange> exchange_;
  Metrics& metrics_;
  const bool stream_, include_usage_, continuous_usage_, parallel_tool_calls_, token_ids_, names_are_ids_;
  const int prompt_logprobs_, echoed_logprobs_;  ///< best tokens of each of the prompt's; -1: it is not wanted
  const int n_;                                  ///< choices for each prompt
  std::string form_;                             ///< the parameter that says what the reply must be
  const bool named_call_;                        ///< the client has chosen the function itself
  std::unique_ptr<ResponseWriter> response_;     ///< of /v1/responses; null: chat and text completions
  const TimePoint begin_;
  std::int64_t prompt_tokens_ = 0;
  std::vector<Choice>
      choices_;  ///< those of the first prompt, then of the second, …; empty: nothing is wanted any more
  std::size_t running_ = 0;
  bool hung_up_ = false, begun_ = false;  ///< begun: the stream's headers are sent
};

}  // namespace tenon::server
