// /metrics in Prometheus' text format, by prometheus-cpp. Names are those of vLLM's dashboards, with a prefix of our
// own unless the user wants theirs.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "base/clock.h"
#include "engine/engine.h"
#include "server/openai.h"

namespace prometheus {
class Registry;
class Histogram;
class Counter;
template <class T>
class Family;
}  // namespace prometheus

namespace tenon::server {

/// When one choice of a request had its tokens.
struct ReplyTimes {
  TimePoint begin{};
  std::optional<TimePoint> first_token{}, last_token{};
  double queue_seconds = 0;
};

class Metrics {
 public:
  explicit Metrics(std::string prefix = "tenon", std::string model = {});
  ~Metrics();

  /// A token of a choice at `now`; `queue_seconds` that its request waited.
  void token(ReplyTimes& times, TimePoint now, double queue_seconds);
  /// A choice, or a request for embeddings, has ended at `now`; "abort": the client did not wait for its end.
  void finished(const char* reason, Usage usage, const ReplyTimes& times, TimePoint now);
  /// All `n` choices of a prompt have ended: each might have had `max_tokens`, the longest has `longest`.
  void prompt_finished(int n, std::int64_t max_tokens, std::int64_t longest);
  /// The page, with the engine's counters as of now.
  std::string text(const engine::Stats& stats) const;

 private:
  void count(const char* reason, int replies);

  const std::string prefix_, model_;
  std::shared_ptr<prometheus::Registry> registry_;
  prometheus::Histogram *first_token_, *between_tokens_, *per_token_, *end_to_end_, *queue_, *prefill_, *decode_,
      *inference_, *prompt_tokens_, *generation_tokens_, *longest_, *n_, *max_tokens_;
  prometheus::Family<prometheus::Counter>* success_;
  /// Of replies: the engine's own count has those that it drew in a guess behind a stop string, too.
  prometheus::Counter* generated_;
};

}  // namespace tenon::server
