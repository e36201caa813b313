// OpenAI's JSON: requests in, objects out. Pure functions.
// https://platform.openai.com/docs/api-reference/chat and …/completions
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "base/json.h"
#include "base/result.h"
#include "chat/reply_grammar.h"
#include "chat/reply_parser.h"
#include "generate/generator.h"
#include "grammar/grammar.h"
#include "server/request_defaults.h"

namespace tenon::server {

/// Which calls the reply must have: what the model wants, at least one, one of a function that is named.
enum class ToolChoice : std::uint8_t { kAuto, kRequired, kNamed };

/// What a body asks for, beside what to generate.
struct ParsedRequest {
  std::vector<generate::Prompt> prompts;  ///< at least one; only text completions have more
  generate::GenerateRequest generate;     ///< for each of them
  int n = 1;                              ///< choices for each prompt
  bool logprobs = false;
  int prompt_logprobs = -1;                                 ///< -1: not wanted; else with so many best tokens
  bool return_tokens_as_token_ids = false;                  ///< in logprobs
  bool return_token_ids = false;                            ///< of prompts and replies
  std::vector<std::string> bad_words = {};                  ///< not yet in generate.sampling
  bool echo = false;                                        ///< a text completion begins with its prompt
  std::string echoed = {};                                  ///< what a chat reply begins with
  std::optional<std::int64_t> truncate_prompt_tokens = {};  ///< to the last so many; -1: to what the context holds
  std::vector<std::string> tools = {};                      ///< names of those that the reply may call
  bool parallel_tool_calls = true;
  ToolChoice tool_choice = ToolChoice::kAuto;
  std::vector<chat::CallRule> call_rules = {};  ///< of the calls that may be; empty: no grammar holds them
  std::optional<grammar::Source> structure;     ///< what the content must be; none: anything
  chat::ReplyFormat format = {};                ///< of chat replies
  Json response = nullptr;                      ///< of /v1/responses: what its object repeats of the request; else null
  std::string model;
  bool stream = false;
  bool include_usage = false;     ///< stream_options.include_usage: a last chunk with it
  bool continuous_usage = false;  ///< stream_options.continuous_usage_stats: every chunk has the usage so far
};

/// Unknown fields, wrong types, values out of range and parameters that Tenon does not support yet are errors that name
/// the parameter.
Result<ParsedRequest> parse_chat_request(const Json& body, const RequestDefaults& defaults = {},
                                         const chat::ReplyFormat& format = {});
Result<ParsedRequest> parse_completion_request(const Json& body, const RequestDefaults& defaults = {});

struct Usage {
  std::int64_t prompt_tokens = 0;
  std::int64_t completion_tokens = 0;
  std::int64_t cached_tokens = 0;  ///< of the prompts, taken from the prefix cache
};

/// Names the reply in each of its objects.
struct ReplyIdentity {
  bool chat = true;
  std::string id;
  std::string model;
  std::int64_t created = 0;
};

/// A choice as far as it is known: whole, or what a chunk adds. Null is not shown, but of what OpenAI's API has.
struct ChoiceJson {
  int index = 0;
  std::string text = {};
  std::string reasoning = {};
  Json tool_calls = Json::array();  ///< see tool_call() and more_arguments()
  Json logprobs = nullptr;
  const char* finish_reason = nullptr;  ///< null in a chunk: more follows
  Json stop_reason = nullptr;           ///< the stop string or token id of the request's that ended it
  Json token_ids = nullptr;
  Json prompt_token_ids = nullptr;  ///< of chat completions it stands beside the choices, as in vLLM
  Json prompt_logprobs = nullptr;   ///< the same
};

/// {"id", "type", "function": {"name", "arguments"}}; with `index`, as a chunk has it, where it is not negative.
Json tool_call(const chat::ReplyPart& call, const std::string& id, int index = -1);
/// What a later chunk adds to a call: {"index", "function": {"arguments"}}.
Json more_arguments(const chat::ReplyPart& part, int index);

/// `choices` is taken: the logprobs of long replies are too large to be there twice.
Json reply_object(const ReplyIdentity& identity, std::vector<ChoiceJson> choices, Usage usage);
/// The first chunk of a choice of a chat stream, which carries the role.
Json first_chunk(const ReplyIdentity& identity, int index, std::optional<Usage> so_far = {},
                 Json prompt_token_ids = nullptr);
Json choice_chunk(const ReplyIdentity& identity, const ChoiceJson& choice, std::optional<Usage> so_far = {});
Json usage_chunk(const ReplyIdentity& identity, Usage usage);

/// {"error": {"message", "type", "param", "code"}}
Json error_object(int status, const Error& error);
int http_status(const Error& error);
const char* finish_reason_name(engine::FinishReason reason);

/// Text of JSON; invalid UTF-8 becomes U+FFFD. What Unicode calls a line break (U+0085, U+2028, U+2029) is escaped:
/// clients that split a stream into lines by Unicode's rules (httpx) would break an event there.
std::string dump(const Json& json);

}  // namespace tenon::server
