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

int run(int argc, char** argv) {
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
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    return app.exit(e) == 0 ? 0 : 2;
  }
  if (!result) {
    std::fprintf(stderr, "tenon: %s\n", result.error().message.c_str());
    return 1;
  }
  return 0;
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
