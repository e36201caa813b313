#include "server/completion.h"

#include "base/log.h"

namespace tenon::server {

Completion::Completion(ReplyIdentity identity, std::shared_ptr<Exchange> exchange, Metrics& metrics,
                       const ParsedRequest& request)
    : identity_(std::move(identity)),
      exchange_(std::move(exchange)),
      metrics_(metrics),
      stream_(request.stream),
      include_usage_(request.include_usage),
      begin_(std::chrono::steady_clock::now()) {}

Status Completion::start(const generate::Generator& generator, ParsedRequest request, ReplyIdentity identity,
                         std::shared_ptr<Exchange> exchange, Metrics& metrics) {
  auto self = std::shared_ptr<Completion>(new Completion(std::move(identity), exchange, metrics, request));
  // The sink runs on the engine thread; deltas reach this object on the I/O thread, after start() has returned.
  auto sink = [self, exchange](const generate::Delta& delta) {
    exchange->post([self, delta] { self->on_delta(delta); });
  };
  TENON_ASSIGN(self->reply_, generator.start(std::move(request.generate), std::move(sink)));
  exchange->on_hang_up([weak = std::weak_ptr(self)] {
    if (auto completion = weak.lock()) completion->reply_.reset();  // cancels
  });
  if (self->stream_) {
    exchange->begin_events();
    if (self->identity_.chat) exchange->send_event(dump(first_chunk(self->identity_)));
  }
  return {};
}

void Completion::on_delta(const generate::Delta& delta) {
  if (!reply_) return;  // hung up
  if (first_ && delta.completion_tokens > 0) {
    first_ = false;
    metrics_.time_to_first_token(seconds_between(begin_, std::chrono::steady_clock::now()));
  }
  const bool last = delta.finish != engine::FinishReason::kNone;
  if (stream_) {
    if (!delta.text.empty()) exchange_->send_event(dump(text_chunk(identity_, delta.text, nullptr)));
  } else {
    text_ += delta.text;
  }
  if (last && reply_) finish(delta);  // sending may find that the client is gone
}

void Completion::finish(const generate::Delta& last) {
  const Usage usage{reply_->prompt_tokens(), last.completion_tokens};
  const bool failed = last.finish == engine::FinishReason::kError || last.finish == engine::FinishReason::kCancelled;
  metrics_.finished(finish_reason_name(last.finish), usage, seconds_between(begin_, std::chrono::steady_clock::now()));
  if (failed) {
    const Error error = last.finish == engine::FinishReason::kError
                            ? Error{ErrorCode::kInternal, "the request failed: " + last.error}
                            : Error{ErrorCode::kUnavailable, "the server stopped before the reply was complete"};
    if (last.finish == engine::FinishReason::kError) TENON_LOG_ERROR("{}: {}", identity_.id, last.error);
    const int status = http_status(error);
    if (stream_) {
      exchange_->send_event(dump(error_object(status, error)));
      exchange_->end_events();
    } else {
      exchange_->respond(status, dump(error_object(status, error)));
    }
  } else if (stream_) {
    exchange_->send_event(dump(text_chunk(identity_, "", finish_reason_name(last.finish))));
    if (include_usage_) exchange_->send_event(dump(usage_chunk(identity_, usage)));
    exchange_->send_event("[DONE]");
    exchange_->end_events();
  } else {
    exchange_->respond(200, dump(reply_object(identity_, text_, finish_reason_name(last.finish), usage)));
  }
  reply_.reset();
}

}  // namespace tenon::server
