#include "cli/cli.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <iostream>
#include <new>
#include <system_error>

#include "base/json.h"
#include "base/log.h"
#include "cli/validators.h"

namespace tenon::cli {

namespace {

constexpr const char* kOutOfMemory =
    "out of memory: free some, raise the limit (ulimit -v), or use a smaller model or context (--max-length)";

std::string sentence_of(const std::exception& e) {
  if (dynamic_cast<const std::bad_alloc*>(&e) != nullptr) return kOutOfMemory;
  // A thread that could not be started, as a rule.
  if (dynamic_cast<const std::system_error*>(&e) != nullptr) {
    return std::string("the operating system refused a thread or memory (see ulimit -v and -u): ") + e.what();
  }
  return e.what();
}

// Names in it may be those of a file that a stranger made: what would command the terminal is not printed.
int end_with(std::string sentence, int status) {
  std::ranges::replace_if(
      sentence, [](unsigned char c) { return (c < 0x20 && c != '\n' && c != '\t') || c == 0x7f; }, '?');
  std::fprintf(stderr, "tenon: %s\n", sentence.c_str());
  return status;
}

// An exception that run() cannot catch, for it is another thread's or leaves a destructor: a sentence all the same.
[[noreturn]] void end_by_exception() {
  try {
    if (const auto exception = std::current_exception()) std::rethrow_exception(exception);
  } catch (const std::bad_alloc&) {
    // Nothing was given back on the way here: there may not even be the memory for a string.
    std::fprintf(stderr, "tenon: %s\n", kOutOfMemory);
    std::_Exit(1);
  } catch (const std::exception& e) {
    std::_Exit(end_with(sentence_of(e), 1));
  }
  std::fputs("tenon: a thread was let go while it ran, which is a bug\n", stderr);
  std::abort();
}

// CLI11 would only say that a command is required.
std::string unknown_command(const CLI::App& app, std::string_view word) {
  std::vector<std::string> names;
  for (const CLI::App* command : app.get_subcommands({})) names.push_back(command->get_name());
  if (word.starts_with('-') || std::ranges::find(names, word) != names.end()) return "";
  std::string known;
  for (const std::string& name : names) known += (known.empty() ? "" : ", ") + name;
  const std::string near = nearest_name(word, names);
  return "there is no command '" + std::string(word) + "'; there are " + known +
         (near.empty() ? "" : "; did you mean " + near + "?");
}

// What was printed may still be on its way, and a full disk says so only now.
Status flush_output() {
  errno = 0;
  std::cout.flush();
  if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0 && std::cout.good()) return {};
  const std::string why = errno == 0 ? "" : std::string(": ") + std::strerror(errno);
  return fail(ErrorCode::kDataLoss, "what was to be printed could not be written to standard output" + why);
}

}  // namespace

int run(int argc, char** argv) {
  std::set_terminate(end_by_exception);
  init_log();
  CLI::App app{"Tenon serves Hugging Face models on CPUs behind an OpenAI-compatible API."};
  app.set_version_flag("--version", TENON_VERSION);
  app.require_subcommand(1);
  Status result;
  add_serve(app, result);
  add_generate(app, result);
  add_encode(app, result);
  add_list(app, result);
  add_inspect(app, result);
  add_bench(app, result);
  add_verify(app, result);
  add_check(app, result);
  add_new(app, result);
  if (argc > 1) {
    if (const std::string sentence = unknown_command(app, argv[1]); !sentence.empty()) return end_with(sentence, 2);
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    if (app.exit(e) != 0) return 2;
  } catch (const std::exception& e) {
    result = fail(ErrorCode::kInternal, sentence_of(e));
  }
  if (result) result = flush_output();
  return result ? 0 : end_with(result.error().message, 1);
}

void add_custom_architectures(CLI::App& command, std::vector<std::string>& paths) {
  command
      .add_option("--custom-architectures", paths,
                  "An architecture of your own: a folder of sources, one with a CMakeLists.txt, or a .so; repeatable")
      ->allow_extra_args(false);
}

void add_model_options(CLI::App& command, ModelOptions& options) {
  command.add_option("model,--model,--model-path", options.load.model, "Hub id (org/name), directory or .gguf file")
      ->required();
  add_custom_architectures(command, options.load.custom_architectures);
  command.add_option("--revision", options.load.revision, "Branch, tag or commit on the hub")->capture_default_str();
  command.add_option("--quantization-encoding", options.load.quantization_encoding,
                     "bfloat16, float32, or what the checkpoint holds (q8_0, q4_k, mxfp4, fp8, …)");
  command.add_option("--kv-cache-dtype", options.load.kv_cache_dtype, "bfloat16 or float32")
      ->check(one_of({"bfloat16", "float32"}));
  command.add_option("--max-length", options.load.max_length, "Context: prompt and reply, in tokens")
      ->check(whole_number(1));
  command.add_option("--max-batch-size", options.max_batch_size, "Requests decoded together")
      ->check(whole_number(1, 4096))
      ->capture_default_str();
  command.add_option("--max-batch-tokens", options.max_batch_tokens, "Tokens of one step: decode rows, then prefill")
      ->check(whole_number(1, 65536))
      ->capture_default_str();
  command
      .add_option("--max-mixed-prefill", options.max_mixed_prefill,
                  "Prompt tokens of a step in which replies go on: fewer make these smoother, and new ones later")
      ->check(whole_number(1, 65536))
      ->capture_default_str();
  command.add_option("--chat-template", options.chat_template,
                     "A file with a Jinja template; default: the model's own");
  command
      .add_option("--speculative-tokens", options.speculative_tokens,
                  "Where few replies go on, their next tokens are guessed from the text and checked in one step of so "
                  "many; no reply changes. 0: off")
      ->check(whole_number(0, 64))
      ->capture_default_str();
  command.add_flag("--enable-prefix-caching,!--no-enable-prefix-caching", options.prefix_cache,
                   "Prompts that begin alike share keys and values (on by default)");
  command.add_option("--kv-cache-memory", options.kv_cache_memory, "Memory of the KV cache: 2GiB, 512MB")
      ->check(bytes());
  command.add_option("--threads", options.threads, "Threads; default: the physical cores this process may use")
      ->check(whole_number(1, 1024));
}

Result<std::int64_t> parse_bytes(const std::string& text) {
  std::size_t used = 0;
  double value = 0;
  try {
    value = std::stod(text, &used);
  } catch (const std::exception&) {
    return invalid("'" + text + "' is not an amount of memory; write 2GiB or 512MB");
  }
  std::string unit = text.substr(used);
  const bool binary = unit.find('i') != std::string::npos || unit.size() <= 1;
  std::erase_if(unit, [](char c) { return c == 'i' || c == 'B' || c == 'b' || c == ' '; });
  const double base = binary ? 1024 : 1000;
  double factor = 0;
  if (unit.empty())
    factor = 1;
  else if (unit == "K" || unit == "k")
    factor = base;
  else if (unit == "M" || unit == "m")
    factor = base * base;
  else if (unit == "G" || unit == "g")
    factor = base * base * base;
  else if (unit == "T" || unit == "t")
    factor = base * base * base * base;
  if (factor == 0 || !(value > 0) || value * factor > 1e15) {
    return invalid("'" + text + "' is not an amount of memory; write 2GiB or 512MB");
  }
  return static_cast<std::int64_t>(value * factor);
}

}  // namespace tenon::cli
