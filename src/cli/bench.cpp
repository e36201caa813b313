#include <CLI/CLI.hpp>
#include <algorithm>
#include <condition_variable>
#include <cstdio>
#include <map>
#include <mutex>

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
// all were done.
struct Timing {
  double prefill = 0, decode = 0;
};

class Recorder {
 public:
  explicit Recorder(int rows) : rows_(rows) {}
  std::shared_ptr<engine::Sink> sink() {
    return std::make_shared<engine::Sink>([this](std::span<const engine::TokenEvent> events) {
      const TimePoint now = std::chrono::steady_clock::now();
      std::lock_guard lock(mutex_);
      for (const auto& event : events) {
        if (seen_.emplace(event.id, true).second && static_cast<int>(seen_.size()) == rows_) first_ = now;
        if (event.finish == engine::FinishReason::kNone) continue;
        end_ = now;
        if (++finished_ == rows_) done_.notify_one();
      }
    });
  }
  Timing wait(TimePoint begin) {
    std::unique_lock lock(mutex_);
    done_.wait(lock, [&] { return finished_ == rows_; });
    return {seconds_between(begin, first_), seconds_between(first_, end_)};
  }

 private:
  const int rows_;
  std::mutex mutex_;
  std::condition_variable done_;
  std::map<engine::RequestId, bool> seen_;
  int finished_ = 0;
  TimePoint first_, end_;
};

Result<Timing> measure(Assembly& assembly, int rows, int prompt_tokens, int new_tokens) {
  Recorder recorder(rows);
  const auto sink = recorder.sink();
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
  return recorder.wait(begin);
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
  TENON_ASSIGN(Assembly assembly, assemble(model, false));
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
  // The decode of a row that has a prompt of one page only: its cost is the weights'.
  constexpr int kShortPrompt = 16;
  std::vector<double> prefill;
  std::map<int, std::vector<double>> decode;
  for (int r = 0; r < options.repeat; ++r) {
    probe();
    TENON_ASSIGN(const Timing one, measure(assembly, 1, options.prompt_tokens, 1));
    prefill.push_back(options.prompt_tokens / one.prefill);
    for (const int rows : options.batches) {
      TENON_ASSIGN(const Timing many, measure(assembly, rows, kShortPrompt, options.new_tokens + 1));
      decode[rows].push_back(static_cast<double>(rows) * options.new_tokens / many.decode);
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
    std::printf("%s\n", out.dump().c_str());
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
  command->add_option("--prompt-tokens", options->prompt_tokens)->check(whole_number(1))->capture_default_str();
  command->add_option("--new-tokens", options->new_tokens)->check(whole_number(1))->capture_default_str();
  command->add_option("--batch", options->batches, "Rows decoded together")->delimiter(',')->check(whole_number(1));
  command->add_option("--repeat", options->repeat, "Runs; the median is printed")
      ->check(whole_number(1))
      ->capture_default_str();
  command->add_flag("--json", options->json, "One line for bench/history.jsonl");
  command->callback([options, &result] { result = bench(*options); });
}

}  // namespace tenon::cli
