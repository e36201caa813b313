#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <future>
#include <iostream>

#include "cli/cli.h"
#include "cli/validators.h"

namespace tenon::cli {
namespace {

struct EncodeOptions {
  ModelOptions model;
  std::vector<std::string> texts;
  std::int64_t dimensions = 0;
  bool truncate = false;
};

Result<generate::Embeddings> embed(const generate::Embedder& embedder, const EncodeOptions& options) {
  generate::EmbedRequest request;
  for (const std::string& text : options.texts) request.inputs.emplace_back(text);
  if (options.dimensions > 0) request.dimensions = options.dimensions;
  if (options.truncate) request.truncate_prompt_tokens = -1;
  auto answer = std::make_shared<std::promise<Result<generate::Embeddings>>>();
  TENON_ASSIGN(const auto running,
               embedder.start(std::move(request), [answer](auto result) { answer->set_value(std::move(result)); }));
  return answer->get_future().get();
}

Status encode(EncodeOptions options) {
  if (options.texts.empty()) {
    for (std::string line; std::getline(std::cin, line);) options.texts.push_back(std::move(line));
  }
  if (options.texts.empty())
    return invalid("there is no text: give one as an argument, or one a line on standard input");
  options.model.load.task = loader::Task::kEmbed;
  TENON_ASSIGN(const Assembly assembly, assemble_any(options.model));
  TENON_ASSIGN(const generate::Embeddings embeddings, embed(*assembly.embedder, options));
  for (const std::vector<float>& vector : embeddings.vectors) std::printf("%s\n", Json(vector).dump().c_str());
  return {};
}

}  // namespace

void add_encode(CLI::App& app, Status& result) {
  auto options = std::make_shared<EncodeOptions>();
  CLI::App* command =
      app.add_subcommand("encode", "Embeddings from the command line: a JSON array of numbers a line for each text");
  add_model_options(*command, options->model);
  add_matryoshka(*command, options->model);
  command->add_option("-t,--text", options->texts, "A text (repeatable); without any, one a line on standard input")
      ->check(utf8())
      ->allow_extra_args(false);
  command->add_option("--dimensions", options->dimensions, "Of the vectors, where the model's may be cut")
      ->check(whole_number(1));
  command->add_flag("--truncate", options->truncate, "Cut longer texts to what the model takes; else they are refused");
  command->callback([options, &result] { result = encode(*options); });
}

}  // namespace tenon::cli
