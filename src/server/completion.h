// One running reply: deltas from the engine thread become an answer, whole or streamed.
#pragma once

#include <memory>
#include <string>

#include "base/clock.h"
#include "generate/generator.h"
#include "server/exchange.h"
#include "server/metrics.h"
#include "server/openai.h"

namespace tenon::server {

class Completion : public std::enable_shared_from_this<Completion> {
 public:
  /// Starts the reply; it keeps itself alive until its last delta or the client's hang-up. An error has not been
  /// answered yet.
  static Status start(const generate::Generator& generator, ParsedRequest request, ReplyIdentity identity,
                      std::shared_ptr<Exchange> exchange, Metrics& metrics);

 private:
  Completion(ReplyIdentity identity, std::shared_ptr<Exchange> exchange, Metrics& metrics,
             const ParsedRequest& request);
  void on_delta(const generate::Delta& delta);
  void finish(const generate::Delta& last);

  const ReplyIdentity identity_;
  const std::shared_ptr<Exchange> exchange_;
  Metrics& metrics_;
  const bool stream_, include_usage_;
  const TimePoint begin_;
  std::unique_ptr<generate::Reply> reply_;
  std::string text_;   ///< of a whole answer
  bool first_ = true;  ///< no token yet
};

}  // namespace tenon::server
