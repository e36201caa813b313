#include "server/metrics.h"

#include <prometheus/counter.h>
#include <prometheus/histogram.h>
#include <prometheus/registry.h>
#include <prometheus/text_serializer.h>

#include <algorithm>
#include <limits>
#include <utility>

namespace tenon::server {
namespace {

using Buckets = prometheus::Histogram::BucketBoundaries;

const Buckets kSeconds = {0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120};
const Buckets kTokenSeconds = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1, 2.5};
const Buckets kChoices = {1, 2, 5, 10, 20, 50, 100};
const Buckets kTokens = {1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10000, 20000, 50000, 100000};

prometheus::ClientMetric histogram_of(const engine::StepTokens& steps) {
  prometheus::ClientMetric out;
  for (std::size_t i = 0; i < steps.steps.size(); ++i) {
    out.histogram.sample_count += static_cast<std::uint64_t>(steps.steps[i]);
    const double bound =
        i < steps.kBounds.size() ? static_cast<double>(steps.kBounds[i]) : std::numeric_limits<double>::infinity();
    out.histogram.bucket.push_back({out.histogram.sample_count, bound});
  }
  out.histogram.sample_sum = static_cast<double>(steps.tokens);
  return out;
}

}  // namespace

Metrics::Metrics(std::string prefix, std::string model)
    : prefix_(std::move(prefix)), model_(std::move(model)), registry_(std::make_shared<prometheus::Registry>()) {
  const auto histogram = [&](const char* name, const char* help, const Buckets& buckets) {
    auto& family = prometheus::BuildHistogram().Name(prefix_ + ":" + name).Help(help).Register(*registry_);
    return &family.Add({{"model_name", model_}}, buckets);
  };
  first_token_ =
      histogram("time_to_first_token_seconds", "From a request's arrival to its first token (TTFT)", kSeconds);
  between_tokens_ = histogram("inter_token_latency_seconds", "Between two tokens of a reply (ITL)", kTokenSeconds);
  per_token_ = histogram("request_time_per_output_token_seconds",
                         "Mean time of a reply's tokens after the first (TPOT)", kTokenSeconds);
  end_to_end_ = histogram("e2e_request_latency_seconds", "From a request's arrival to its last token", kSeconds);
  queue_ = histogram("request_queue_time_seconds", "That a request waited before it first ran", kSeconds);
  prefill_ = histogram("request_prefill_time_seconds", "From a request's first run to its first token", kSeconds);
  decode_ = histogram("request_decode_time_seconds", "From a request's first token to its last", kSeconds);
  inference_ = histogram("request_inference_time_seconds", "From a request's first run to its last token", kSeconds);
  prompt_tokens_ = histogram("request_prompt_tokens", "Tokens of a request's prompt", kTokens);
  generation_tokens_ = histogram("request_generation_tokens", "Tokens of a reply", kTokens);
  longest_ = histogram("request_max_num_generation_tokens", "Tokens of the longest of a prompt's replies", kTokens);
  n_ = histogram("request_params_n", "Replies that were asked for to a prompt (n)", kChoices);
  max_tokens_ = histogram("request_params_max_tokens", "Most tokens that a reply might have (max_tokens)", kTokens);
  success_ = &prometheus::BuildCounter()
                  .Name(prefix_ + ":request_success_total")
                  .Help("Ended replies by finish reason; abort: the client hung up, or the server ended")
                  .Register(*registry_);
  generated_ = &prometheus::BuildCounter()
                    .Name(prefix_ + ":generation_tokens_total")
                    .Help("Tokens generated")
                    .Register(*registry_)
                    .Add({{"model_name", model_}});
  for (const char* reason : {"stop", "length", "abort", "error"}) count(reason, 0);  // so that their rates are known
}

Metrics::~Metrics() = default;

void Metrics::count(const char* reason, int replies) {
  success_->Add({{"finished_reason", reason}, {"model_name", model_}}).Increment(replies);
}

void Metrics::token(ReplyTimes& times, TimePoint now, double queue_seconds) {
  generated_->Increment();
  if (!times.first_token) {
    const double seconds = seconds_between(times.begin, now);
    times.first_token = now;
    times.queue_seconds = queue_seconds;
    first_token_->Observe(seconds);
    queue_->Observe(queue_seconds);
    prefill_->Observe(std::max(0.0, seconds - queue_seconds));
  } else {
    between_tokens_->Observe(seconds_between(*times.last_token, now));
  }
  times.last_token = now;
}

void Metrics::finished(const char* reason, Usage usage, const ReplyTimes& times, TimePoint now) {
  count(reason, 1);
  end_to_end_->Observe(seconds_between(times.begin, now));
  prompt_tokens_->Observe(static_cast<double>(usage.prompt_tokens));
  generation_tokens_->Observe(static_cast<double>(usage.completion_tokens));
  if (!times.first_token) return;
  const double decode = seconds_between(*times.first_token, *times.last_token);
  decode_->Observe(decode);
  inference_->Observe(std::max(0.0, seconds_between(times.begin, *times.last_token) - times.queue_seconds));
  if (usage.completion_tokens > 1) per_token_->Observe(decode / static_cast<double>(usage.completion_tokens - 1));
}

void Metrics::prompt_finished(int n, std::int64_t max_tokens, std::int64_t longest) {
  n_->Observe(n);
  for (int i = 0; i < n; ++i) max_tokens_->Observe(static_cast<double>(max_tokens));
  longest_->Observe(static_cast<double>(longest));
}

std::string Metrics::text(const engine::Stats& s) const {
  using Type = prometheus::MetricType;
  auto families = registry_->Collect();
  const auto metric = [&](Type type, std::int64_t value, const char* reason = nullptr) {
    prometheus::ClientMetric out;
    out.label = {{"model_name", model_}};
    if (reason) out.label.push_back({"reason", reason});
    (type == Type::Counter ? out.counter.value : out.gauge.value) = static_cast<double>(value);
    return out;
  };
  const auto add = [&](Type type, const char* name, const char* help, std::int64_t value) {
    families.push_back({prefix_ + ":" + name, help, type, {metric(type, value)}});
  };
  add(Type::Gauge, "num_requests_running", "Requests in the batch", s.running);
  add(Type::Gauge, "num_requests_waiting", "Requests in the queue", s.waiting);
  families.push_back({prefix_ + ":num_requests_waiting_by_reason",
                      "Requests in the queue: capacity, the KV cache or the batch is full; deferred, the step is",
                      Type::Gauge,
                      {metric(Type::Gauge, s.waiting_for_capacity, "capacity"),
                       metric(Type::Gauge, s.waiting - s.waiting_for_capacity, "deferred")}});
  families.push_back({prefix_ + ":kv_cache_usage_perc",
                      "Share of the KV cache's pages in use, 0 to 1",
                      Type::Gauge,
                      {metric(Type::Gauge, 0)}});
  if (s.pages_total) {
    families.back().metric[0].gauge.value = static_cast<double>(s.pages_used) / static_cast<double>(s.pages_total);
  }
  add(Type::Counter, "prompt_tokens_total", "Prompt tokens, computed or found in the prefix cache", s.prompt_tokens);
  add(Type::Counter, "num_preemptions_total", "Requests preempted", s.preemptions);
  add(Type::Counter, "prefix_cache_queries_total", "Prompt tokens looked up in the prefix cache",
      s.prefix_cache_queries);
  add(Type::Counter, "prefix_cache_hits_total", "Prompt tokens found in the prefix cache", s.prefix_cache_hits);
  add(Type::Counter, "spec_decode_num_drafts_total", "Guesses of a reply's next tokens that were run", s.drafts);
  add(Type::Counter, "spec_decode_num_draft_tokens_total", "Tokens of those guesses", s.draft_tokens);
  add(Type::Counter, "spec_decode_num_accepted_tokens_total", "Tokens of those guesses that were right",
      s.accepted_tokens);
  add(Type::Counter, "requests_timed_out_total", "Requests that reached their timeout", s.requests_timed_out);
  add(Type::Counter, "requests_cancelled_total", "Requests cancelled by hang-up", s.requests_cancelled);
  add(Type::Counter, "engine_steps_total", "Steps of the engine", s.steps);
  auto& steps = families.emplace_back(prometheus::MetricFamily{
      prefix_ + ":iteration_tokens_total", "Tokens of a step, of prompts and of replies", Type::Histogram, {}});
  steps.metric.push_back(histogram_of(s.step_tokens));
  steps.metric.back().label = {{"model_name", model_}};
  if (s.pages_total > 0) {
    auto& cache = families.emplace_back(prometheus::MetricFamily{
        prefix_ + ":cache_config_info", "The KV cache: pages, and tokens of a page", Type::Gauge, {}});
    cache.metric.push_back(metric(Type::Gauge, 1));
    cache.metric.back().label = {{"block_size", std::to_string(s.page_tokens)},
                                 {"enable_prefix_caching", s.prefix_cache ? "True" : "False"},
                                 {"model_name", model_},
                                 {"num_gpu_blocks", std::to_string(s.pages_total)}};
  }
  return prometheus::TextSerializer().Serialize(families);
}

}  // namespace tenon::server
