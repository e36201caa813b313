// A reply of /v1/responses while it comes: its items, and in a stream the events that tell of them. Pure.
// https://platform.openai.com/docs/api-reference/responses/object and …/responses-streaming
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>

#include "base/json.h"
#include "base/result.h"
#include "server/openai.h"

namespace tenon::server {

class ResponseWriter {
 public:
  /// Gets each event: {"type", "sequence_number", …}.
  using Send = std::function<void(const Json& event)>;
  /// `request`: ParsedRequest::response. Without `send` the reply is only put together.
  ResponseWriter(ReplyIdentity identity, Json request, Send send);

  /// response.created and response.in_progress.
  void begin();
  /// What a token adds, and how many there are with it.
  void add(std::span<const ChoiceJson> pieces, std::int64_t completion_tokens);
  /// The reply has ended; the response object, which the last event has too.
  Json finish(std::string_view finish_reason, const Usage& usage);
  /// It has not: error and response.failed.
  void fail(int status, const Error& error, const Usage& usage);

 private:
  enum class Item : std::uint8_t { kNone, kReasoning, kMessage, kCall };
  void open(Item kind, const char* prefix, const Json& item);
  void open_text(Item kind);
  void add_text(Item kind, const std::string& text);
  void add_call(const Json& call);
  void close(const char* status);
  Json logprobs_of(std::span<const ChoiceJson> pieces);
  Json part() const;
  Json response(const char* status) const;
  Json usage_object(const Usage& usage) const;
  void send(const char* type, const Json& fields);
  void send_part(const char* type);
  std::string item_id(const char* prefix) const;

  const ReplyIdentity identity_;
  const Json request_;
  const Send send_;
  std::int64_t sequence_ = 0;
  Json output_ = Json::array();  ///< items that are whole
  Item kind_ = Item::kNone;      ///< of the item that is open
  Json item_;                    ///< without what comes of it
  std::string text_;             ///< of it; of a call, its arguments
  Json logprobs_;                ///< of it
  Json unplaced_logprobs_ = Json::array();
  bool answers_ = false;  ///< there is a message or a call
  std::int64_t placed_tokens_ = 0, reasoning_tokens_ = 0;
};

}  // namespace tenon::server
