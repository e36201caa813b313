#include <CLI/CLI.hpp>
#include <algorithm>
#include <condition_variable>
#include <cstdio>
#include <map>
#include <mutex>
#include <set>

#include "base/clock.h"
#include "cli/cli.h"
#include "cli/validators.h"
#include "kernels/kernels.h"
#include "kernels/probe.h"

namespace tenon::cli {
namespace {

struct BenchOptions {
  ModelOptions model;
  int prompt_tokens = 512, new_tokens = 64, repeat = 3;
  std::vector<int> batches = {1, 8, 32};
  bool json = false;
};

// What `rows` requests of one length took: from their submission until all had their first token, and from then until
// all were done; and how many tokens were made in that second time.
struct Timing {
  double prefill = 0, decode = 0;
  std::int64_t decoded = 0;
};

class Recorder {
 public:
  explicit Recorder(int rows) : rows_(rows) {}

  void take(std::span<const engine::TokenEvent> events) {
    const TimePoint now = std::chrono::steady_clock::now();
    std::lock_guard lock(mutex_);
    const bool all_have_begun = static_cast<int>(seen_.size()) == rows_;
    for (const auto& event : events) {
      if (all_have_begun && event.token >= 0) ++decoded_;
      if (seen_.insert(event.id).second && static_cast<int>(seen_.size()) == rows_) first_ = now;
      if (event.finish == engine::FinishReason::kNone) continue;
      if (event.finish != engine::FinishReason::kLength) problem_ = event.error.empty() ? "was cut off" : event.error;
      end_ = now;
      if (++finished_ == rows_) done_.notify_one();
    }
  }

  Result<Timing> wait(TimePoint begin) {
    std::unique_lock lock(mutex_);
    done_.wait(lock, [&] { return finished_ == rows_; });
    if (!problem_.empty()) return fail(ErrorCode::kInternal, "a request of the benchmark failed: " + problem_);
    return Timing{seconds_between(begin, first_), seconds_between(first_, end_), decoded_};
  }

 private:
  const int rows_;
  std::mutex mutex_;
  std::condition_variable done_;
  std::set<engine::RequestId> seen_;
  std::string problem_;
  std::int64_t decoded_ = 0;
  int finished_ = 0;
  TimePoint first_, end_;
};

Result<Timing> measure(Assembly& assembly, int rows, int prompt_tokens, int new_tokens) {
  // The engine may call the sink after a submission failed and this function is left.
  const auto recorder = std::make_shared<Recorder>(rows);
  const auto sink = std::make_shared<engine::Sink>(
      [recorder](std::span<const engine::TokenEvent> events) { recorder->take(events); });
  const auto vocab = assembly.model.executable->vocab_size();
  const TimePoint begin = std::chrono::steady_clock::now();
  for (int r = 0; r < rows; ++r) {
    engine::Request request;
    for (int t = 0; t < prompt_tokens; ++t)
      request.prompt.push_back(static_cast<int>((7919LL * (t + 1) + 104729LL * r) % vocab));
    request.sampling.temperature = 0;
    request.max_tokens = new_tokens;
    TENON_TRY(assembly.engine->submit(std::move(request), sink));
  }
  return recorder->wait(begin);
}

// The decode of a row that has a prompt of one page only: its cost is the weights'.
constexpr int kShortPrompt = 16;

Status check_batches(const BenchOptions& options) {
  const int most = std::ranges::max(options.batches);
  if (most <= options.model.max_batch_size) return {};
  return invalid("--batch " + std::to_string(most) + " is more than --max-batch-size " +
                 std::to_string(options.model.max_batch_size) + ": so many rows are never decoded together");
}

Status check_lengths(const BenchOptions& options, int context) {
  const auto check = [&](const char* option, int tokens, int others, const char* what) -> Status {
    if (tokens <= context - others) return {};
    return invalid(std::string(option) + " " + std::to_string(tokens) + " and " + std::to_string(others) + " " + what +
                   " are more than the context of " + std::to_string(context) + " tokens");
  };
  TENON_TRY(check("--prompt-tokens", options.prompt_tokens, 1, "new token"));
  return check("--new-tokens", options.new_tokens, kShortPrompt + 1, "tokens before them");
}

double median(std::vector<double> v) {
  std::sort(v.begin(), v.end());
  return v[v.size() / 2];
}

void print_row(const std::string& what, double rate, double used, const char* unit, double limit) {
  std::printf("  %-24s %9.1f tokens/s %9.1f %s", what.c_str(), rate, used, unit);
  if (limit > 0) std::printf("  %5.1f %% of %.1f", 100 * used / limit, limit);
  std::printf("\n");
}

Status bench(const BenchOptions& options) {
  ModelOptions model = options.model;
  model.prefix_cache = false;  // every run computes its prompt
  TENON_TRY(check_batches(options));
  model.max_queue_size = std::ranges::max(options.batches);
  TENON_ASSIGN(Assembly assembly, assemble(model, false));
  TENON_TRY(check_lengths(options, assembly.model.max_length));
  const auto& executable = *assembly.model.executable;
  std::vector<kernels::MachineLimits> limits;
  const auto probe = [&] {
    ThreadPool pool(assembly.threads);
    limits.push_back(kernels::measure_limits(pool));
  };
  const auto limit = [&](double kernels::MachineLimits::* field) {
    std::vector<double> values;
    for (const auto& l : limits) values.push_back(l.*field);
    return median(values);
  };
  std::vector<double> prefill;
  std::map<int, std::vector<double>> decode;
  for (int r = 0; r < options.repeat; ++r) {
    probe();
    TENON_ASSIGN(const Timing one, measure(assembly, 1, options.prompt_tokens, 1));
    prefill.push_back(options.prompt_tokens / one.prefill);
    for (const int rows : options.batches) {
      TENON_ASSIGN(const Timing many, measure(assembly, rows, kShortPrompt, options.new_tokens + 1));
      decode[rows].push_back(static_cast<double>(many.decoded) / many.decode);
    }
  }
  const std::string& encoding = assembly.model.encoding;
  // FP8 is widened to floats.
  const bool quantized = encoding != "bfloat16" && encoding != "float32" && encoding != "fp8";
  const double peak = limit(quantized                ? &kernels::MachineLimits::int8_gop_per_s
                            : encoding == "bfloat16" ? &kernels::MachineLimits::bf16_gflop_per_s
                                                     : &kernels::MachineLimits::f32_gflop_per_s);
  const double read = limit(&kernels::MachineLimits::read_gb_per_s);
  const double prefill_rate = median(prefill);
  const double gflop = prefill_rate / options.prompt_tokens * executable.matmul_flops(options.prompt_tokens, 1) / 1e9;
  const char* unit = quantized ? "GOP/s  " : "GFLOP/s";
  if (options.json) {
    Json out = {{"model", assembly.model.name},
                {"architecture", assembly.model.architecture},
                {"encoding", encoding},
                {"isa", kernels::kernels().isa},
                {"threads", assembly.threads},
                {"read_gb_per_s", read},
                {"peak_gflop_per_s", peak},
                {"prefill_tokens", options.prompt_tokens},
                {"prefill_tokens_per_s", prefill_rate},
                {"prefill_share", gflop / peak}};
    for (const auto& [rows, rates] : decode) {
      const double steps = median(rates) / rows;
      out["decode"].push_back({{"rows", rows},
                               {"tokens_per_s", median(rates)},
                               {"read_share", steps * static_cast<double>(executable.streamed_bytes()) / 1e9 / read}});
    }
    std::printf("%s\n", out.dump(-1, ' ', false, Json::error_handler_t::replace).c_str());
    return {};
  }
  std::printf("%s, %s, %s kernels, %d threads; machine: %.1f GB/s, %.0f %s; median of %d\n",
              assembly.model.name.c_str(), encoding.c_str(), kernels::kernels().isa, assembly.threads, read, peak, unit,
              options.repeat);
  print_row("prefill " + std::to_string(options.prompt_tokens), prefill_rate, gflop, unit, peak);
  for (const auto& [rows, rates] : decode) {
    const double rate = median(rates);
    print_row("decode " + std::to_string(rows) + (rows == 1 ? " row" : " rows"), rate,
              rate / rows * static_cast<double>(executable.streamed_bytes()) / 1e9, "GB/s   ", read);
  }
  return {};
}

}  // namespace

void add_bench(CLI::App& app, Status& result) {
  auto options = std::make_shared<BenchOptions>();
  CLI::App* command =
      app.add_subcommand("bench", "Prefill and decode speed, each beside the machine's limit measured in the same run");
  add_model_options(*command, options->model);
  options->model.speculative_tokens = 0;  // every step makes one token a row
  command->remove_option(command->get_option("--speculative-tokens"));
  command->add_option("--prompt-tokens", options->prompt_tokens)->check(whole_number(1))->capture_default_str();
  command->add_option("--new-tokens", options->new_tokens)->check(whole_number(1))->capture_default_str();
  command->add_option("--batch", options->batches, "Rows decoded together, as 1,8,32")
      ->allow_extra_args(false)
      ->delimiter(',')
      ->check(whole_number(1));
  command->add_option("--repeat", options->repeat, "Runs; the median is printed")
      ->check(whole_number(1))
      ->capture_default_str();
  command->add_flag("--json", options->json, "One line for bench/history.jsonl");
  command->callback([options, &result] { result = bench(*options); });
}

}  // namespace tenon::cli
