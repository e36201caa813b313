// OpenAI's JSON: requests in, objects out. Pure functions.
// https://platform.openai.com/docs/api-reference/chat and …/completions
#pragma once

#include <cstdint>
#include <string>

#include "base/json.h"
#include "base/result.h"
#include "generate/generator.h"

namespace tenon::server {

/// What a body asks for, beside what to generate.
struct ParsedRequest {
  generate::GenerateRequest generate;
  std::string model;
  bool stream = false;
  bool include_usage = false;  ///< stream_options.include_usage
};

/// Unknown fields, wrong types, values out of range and parameters that Tenon does not support yet are errors that name
/// the parameter.
Result<ParsedRequest> parse_chat_request(const Json& body);
Result<ParsedRequest> parse_completion_request(const Json& body);

struct Usage {
  std::int64_t prompt_tokens = 0;
  std::int64_t completion_tokens = 0;
};

/// Names the reply in each of its objects.
struct ReplyIdentity {
  bool chat = true;
  std::string id;
  std::string model;
  std::int64_t created = 0;
};

Json reply_object(const ReplyIdentity& identity, const std::string& text, const char* finish_reason, Usage usage);
/// The first chunk of a chat stream, which carries the role.
Json first_chunk(const ReplyIdentity& identity);
/// finish_reason null: more follows.
Json text_chunk(const ReplyIdentity& identity, const std::string& text, const char* finish_reason);
Json usage_chunk(const ReplyIdentity& identity, Usage usage);

/// {"error": {"message", "type", "param", "code"}}
Json error_object(int status, const Error& error);
int http_status(const Error& error);
const char* finish_reason_name(engine::FinishReason reason);

/// Text of JSON; invalid UTF-8 becomes U+FFFD.
std::string dump(const Json& json);

}  // namespace tenon::server
