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
};

class Metrics {
 public:
  explicit Metrics(std::string prefix = "tenon", std::string model = {});
  ~Metrics();

  /// A token of a choice at `now`; `queue_seconds` that its request waited.
  void token(ReplyTimes& times, TimePoint now, double queue_seconds);
  /// A choice has ended at `now`.
  void finished(const char* reason, Usage usage, const ReplyTimes& times, TimePoint now);
  /// The page, with the engine's counters as of now.
  std::string text(const engine::Stats& stats) const;

 private:
  const std::string prefix_, model_;
  std::shared_ptr<prometheus::Registry> registry_;
  prometheus::Histogram *first_token_, *between_tokens_, *per_token_, *end_to_end_, *queue_, *prefill_, *decode_,
      *prompt_tokens_, *generation_tokens_;
  prometheus::Family<prometheus::Counter>* success_;
};

}  // namespace tenon::server
