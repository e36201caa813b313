#include <CLI/CLI.hpp>
#include <condition_variable>
#include <cstdio>
#include <mutex>
#include <random>

#include "base/clock.h"
#include "cli/cli.h"
#include "cli/validators.h"
#include "kernels/probe.h"

namespace tenon::cli {
namespace {

struct GenerateOptions {
  ModelOptions model;
  std::string prompt, system;
  bool raw = false;
  std::int64_t max_tokens = 0;
  std::optional<std::uint64_t> seed;
  sampler::SamplingParams sampling{.temperature = 0};
};

generate::GenerateRequest request_of(const GenerateOptions& options, bool chat) {
  generate::GenerateRequest request;
  request.sampling = options.sampling;
  request.sampling.seed = options.seed ? *options.seed : std::random_device{}();
  if (options.max_tokens > 0) request.max_tokens = options.max_tokens;
  if (!chat) {
    request.prompt.value = options.prompt;
    return request;
  }
  chat::RenderInput input;
  if (!options.system.empty()) input.messages.push_back({{"role", "system"}, {"content", options.system}});
  input.messages.push_back({{"role", "user"}, {"content", options.prompt}});
  request.prompt.value = std::move(input);
  return request;
}

Status generate_text(const GenerateOptions& options) {
  TENON_ASSIGN(Assembly assembly, assemble(options.model, true));
  const bool chat = !options.raw && assembly.generator->has_chat_template();

  std::mutex mutex;
  std::condition_variable done;
  generate::Delta last;
  TimePoint first_token, end;
  std::int64_t first_steps = 0;
  const TimePoint begin = std::chrono::steady_clock::now();
  auto sink = [&](const generate::Delta& delta) {
    std::fwrite(delta.text.data(), 1, delta.text.size(), stdout);
    std::fflush(stdout);
    std::lock_guard lock(mutex);
    end = std::chrono::steady_clock::now();
    if (delta.completion_tokens == 1) {
      first_token = end;
      first_steps = assembly.engine->stats().steps;
    }
    last = delta;
    if (delta.finish != engine::FinishReason::kNone) done.notify_one();
  };
  TENON_ASSIGN(const auto reply, assembly.generator->start(request_of(options, chat), sink));
  {
    std::unique_lock lock(mutex);
    done.wait(lock, [&] { return last.finish != engine::FinishReason::kNone; });
  }
  std::printf("\n");
  std::fflush(stdout);  // before what goes to standard error
  if (last.finish == engine::FinishReason::kError) return fail(ErrorCode::kInternal, last.error);

  const auto prompt_tokens = reply->prompt_tokens();
  const double prefill = seconds_between(begin, first_token), decode = seconds_between(first_token, end);
  std::fprintf(stderr, "prompt: %lld tokens in %.3f s (%.1f tokens/s)\n", static_cast<long long>(prompt_tokens),
               prefill, static_cast<double>(prompt_tokens) / prefill);
  if (last.completion_tokens > 1) {
    const double rate = static_cast<double>(last.completion_tokens - 1) / decode;
    const auto steps = static_cast<double>(assembly.engine->stats().steps - first_steps);
    const double bandwidth = steps * static_cast<double>(assembly.model.executable->streamed_bytes()) / decode / 1e9;
    ThreadPool pool(assembly.threads);
    const auto limits = kernels::measure_limits(pool);
    std::fprintf(stderr, "reply:  %lld tokens in %.3f s (%.1f tokens/s): %.1f GB/s of weights",
                 static_cast<long long>(last.completion_tokens), prefill + decode, rate, bandwidth);
    if (limits.read_gb_per_s > 0) {
      std::fprintf(stderr, ", %.0f %% of the machine's %.1f GB/s", 100 * bandwidth / limits.read_gb_per_s,
                   limits.read_gb_per_s);
    }
    std::fprintf(stderr, "\n");
  }
  return {};
}

}  // namespace

void add_generate(CLI::App& app, Status& result) {
  auto options = std::make_shared<GenerateOptions>();
  options->model.max_batch_size = 1;
  CLI::App* command = app.add_subcommand("generate", "One prompt from the command line, streamed to the terminal");
  add_model_options(*command, options->model);
  command->add_option("-p,--prompt", options->prompt, "The prompt")->required()->check(utf8());
  command->add_option("--system", options->system, "System message")->check(utf8());
  command->add_flag("--raw", options->raw, "Do not apply the chat template");
  command->add_option("-n,--max-tokens", options->max_tokens, "Most tokens of the reply")->check(whole_number(1));
  command->add_option("--temperature", options->sampling.temperature, "0: greedy")
      ->check(number(0, 2))
      ->capture_default_str();
  command->add_option("--top-k", options->sampling.top_k)->check(whole_number(0));
  command->add_option("--top-p", options->sampling.top_p)->check(number(0, 1));
  command->add_option("--min-p", options->sampling.min_p)->check(number(0, 1));
  command->add_option("--seed", options->seed)->check(whole_number(0, std::numeric_limits<std::uint64_t>::max()));
  command->callback([options, &result] { result = generate_text(*options); });
}

}  // namespace tenon::cli
