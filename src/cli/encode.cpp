#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <iostream>

#include "cli/cli.h"
#include "engine/encoder.h"
#include "tokenizer/tokenizer.h"

namespace tenon::cli {
namespace {

struct EncodeOptions {
  ModelOptions model;
  std::vector<std::string> texts;
};

Status encode(EncodeOptions options) {
  if (options.texts.empty()) {
    for (std::string line; std::getline(std::cin, line);) options.texts.push_back(std::move(line));
  }
  if (options.texts.empty())
    return invalid("there is no text: give one as an argument, or one a line on standard input");
  const int threads = options.model.threads > 0 ? options.model.threads : ThreadPool::default_threads();
  loader::LoadOptions& load = options.model.load;
  load.limits.max_rows = options.model.max_batch_size;
  load.limits.max_total_tokens = options.model.max_batch_tokens;
  loader::LoadedModel model;
  {
    ThreadPool pool(threads);
    TENON_ASSIGN(model, loader::load_embedder(load, pool));
  }
  if (model.text.tokenizer_json.empty()) {
    return fail(ErrorCode::kNotFound,
                model.name + ": there is no tokenizer; put the model's tokenizer.json into its directory");
  }
  TENON_ASSIGN(const auto tokenizer, tokenizer::Tokenizer::from_json(model.text.tokenizer_json));
  TENON_ASSIGN(
      const auto encoder,
      engine::Encoder::create(
          model.executable, {.pooling = *model.pooling, .vocab_size = model.vocab_size, .max_length = model.max_length},
          threads));
  std::vector<std::vector<std::int32_t>> ids;
  for (const std::string& text : options.texts) {
    TENON_ASSIGN(std::vector<std::int32_t> one, tokenizer->encode(text, true));
    ids.push_back(std::move(one));
  }
  TENON_ASSIGN(const auto vectors, encoder->encode(ids));
  for (const std::vector<float>& vector : vectors) std::printf("%s\n", Json(vector).dump().c_str());
  return {};
}

}  // namespace

void add_encode(CLI::App& app, Status& result) {
  auto options = std::make_shared<EncodeOptions>();
  CLI::App* command =
      app.add_subcommand("encode", "Embeddings from the command line: a JSON array of numbers a line for each text");
  add_model_options(*command, options->model);
  command->add_option("-t,--text", options->texts, "A text (repeatable); without any, one a line on standard input");
  command->callback([options, &result] { result = encode(*options); });
}

}  // namespace tenon::cli
