// /metrics in Prometheus' text format, by prometheus-cpp. Names as vLLM's dashboards know them, with our prefix.
#pragma once

#include <memory>
#include <string>

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

class Metrics {
 public:
  Metrics();
  ~Metrics();

  void time_to_first_token(double seconds);
  void finished(const char* reason, Usage usage, double seconds);
  /// The page, with the engine's counters as of now.
  std::string text(const engine::Stats& stats, const std::string& model) const;

 private:
  std::shared_ptr<prometheus::Registry> registry_;
  prometheus::Histogram* first_token_;
  prometheus::Histogram* end_to_end_;
  prometheus::Family<prometheus::Counter>* success_;
};

}  // namespace tenon::server
