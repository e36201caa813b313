#include "server/metrics.h"

#include <prometheus/counter.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

namespace tenon::server {
namespace {

const prometheus::Histogram::BucketBoundaries kSeconds = {0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5,
                                                          1,     2.5,  5,     10,   30,  60,   120};

prometheus::MetricFamily family(const char* name, const char* help, prometheus::MetricType type, double value,
                                const std::string& model) {
  prometheus::ClientMetric metric;
  metric.label = {{"model_name", model}};
  if (type == prometheus::MetricType::Counter) {
    metric.counter.value = value;
  } else {
    metric.gauge.value = value;
  }
  return {name, help, type, {metric}};
}

}  // namespace

Metrics::Metrics() : registry_(std::make_shared<prometheus::Registry>()) {
  first_token_ = &prometheus::BuildHistogram()
                      .Name("tenon:time_to_first_token_seconds")
                      .Help("From the request's arrival to its first token")
                      .Register(*registry_)
                      .Add({}, kSeconds);
  end_to_end_ = &prometheus::BuildHistogram()
                     .Name("tenon:e2e_request_latency_seconds")
                     .Help("From the request's arrival to its last token")
                     .Register(*registry_)
                     .Add({}, kSeconds);
  success_ = &prometheus::BuildCounter()
                  .Name("tenon:requests_total")
                  .Help("Finished requests by finish reason")
                  .Register(*registry_);
}

Metrics::~Metrics() = default;

void Metrics::time_to_first_token(double seconds) { first_token_->Observe(seconds); }

void Metrics::finished(const char* reason, Usage, double seconds) {
  success_->Add({{"finished_reason", reason}}).Increment();
  end_to_end_->Observe(seconds);
}

std::string Metrics::text(const engine::Stats& s, const std::string& model) const {
  using Type = prometheus::MetricType;
  auto families = registry_->Collect();
  const auto add = [&](const char* name, const char* help, Type type, double value) {
    families.push_back(family(name, help, type, value, model));
  };
  add("tenon:num_requests_running", "Requests in the batch", Type::Gauge, static_cast<double>(s.running));
  add("tenon:num_requests_waiting", "Requests in the queue", Type::Gauge, static_cast<double>(s.waiting));
  add("tenon:kv_cache_usage_perc", "Share of the KV cache's pages in use, 0 to 1", Type::Gauge,
      s.pages_total ? static_cast<double>(s.pages_used) / static_cast<double>(s.pages_total) : 0);
  add("tenon:prompt_tokens_total", "Prompt tokens computed", Type::Counter, static_cast<double>(s.prompt_tokens));
  add("tenon:generation_tokens_total", "Tokens generated", Type::Counter, static_cast<double>(s.generated_tokens));
  add("tenon:num_preemptions_total", "Requests preempted", Type::Counter, static_cast<double>(s.preemptions));
  add("tenon:prefix_cache_queries_total", "Prompt tokens looked up in the prefix cache", Type::Counter,
      static_cast<double>(s.prefix_cache_queries));
  add("tenon:prefix_cache_hits_total", "Prompt tokens found in the prefix cache", Type::Counter,
      static_cast<double>(s.prefix_cache_hits));
  add("tenon:requests_timed_out_total", "Requests that reached their timeout", Type::Counter,
      static_cast<double>(s.requests_timed_out));
  add("tenon:engine_steps_total", "Steps of the engine", Type::Counter, static_cast<double>(s.steps));
  add("tenon:requests_cancelled_total", "Requests cancelled by hang-up", Type::Counter,
      static_cast<double>(s.requests_cancelled));
  return prometheus::TextSerializer().Serialize(families);
}

}  // namespace tenon::server
