// The command line: tenon serve | generate | encode | list | inspect | bench | verify |
// check | new. Parsing and printing only.
#pragma once

#include <memory>
#include <string>

#include "base/result.h"
#include "generate/embedder.h"
#include "generate/generator.h"
#include "loader/loader.h"

namespace CLI {
class App;
}

namespace tenon::cli {

/// Parses and runs a command; the process's exit status: 0, 1 (failed), 2 (usage).
int run(int argc, char** argv);

/// Options that every command which loads a model has.
struct ModelOptions {
  loader::LoadOptions load;
  int threads = 0;  ///< 0: as many as the machine leaves
  int max_batch_size = 64;
  int max_batch_tokens = 512;
  int max_mixed_prefill = 128;
  int extra_logits = 0;  ///< rows of logits beside one a sequence: for the logprobs of prompts
  int speculative_tokens = 8;
  bool prefix_cache = true;
  std::string chat_template;    ///< a file; empty: the model's own
  int max_queue_size = 0;       ///< 0: the engine's default
  bool matryoshka = false;      ///< an embedding model's vectors may be cut, though its config.json does not say so
  std::string kv_cache_memory;  ///< "2GiB", "512MB"; empty: what the batch and context can use, within free memory
};

void add_custom_architectures(CLI::App& command, std::vector<std::string>& paths);
void add_model_options(CLI::App& command, ModelOptions& options);
/// --task, where a command serves either.
void add_task(CLI::App& command, ModelOptions& options);
/// --matryoshka, where a command embeds.
void add_matryoshka(CLI::App& command, ModelOptions& options);

/// "2GiB", "1.5G", "512MB" or a number of bytes.
Result<std::int64_t> parse_bytes(const std::string& text);

/// A loaded model with its engine and text side.
struct Assembly {
  loader::LoadedModel model;
  std::shared_ptr<engine::Engine> engine;                   ///< null of an embedding model
  std::shared_ptr<const generate::Generator> generator;     ///< null if it was assembled without text, or embeds
  std::shared_ptr<const generate::Embedder> embedder;       ///< of an embedding model
  std::shared_ptr<const tokenizer::Tokenizer> tokenizer;    ///< these two: as generator
  std::shared_ptr<const chat::ChatTemplate> chat_template;  ///< null also where the model has none
  int threads = 0;
};

/// Loads a model that generates text and starts its engine; `need_text` also makes tokenizer and chat template.
Result<Assembly> assemble(ModelOptions options, bool need_text);
/// Loads a model for options.load.task, with all that serving it takes.
Result<Assembly> assemble_any(ModelOptions options);

/// Starts the encoder of an embedding model, which has its tokenizer.
Result<std::shared_ptr<const generate::Embedder>> make_embedder(const Assembly& assembly, const ModelOptions& options);

// One file a command; each adds itself to the app. The callback's error is printed and ends the process with 1.
void add_serve(CLI::App& app, Status& result);
void add_generate(CLI::App& app, Status& result);
void add_list(CLI::App& app, Status& result);
void add_inspect(CLI::App& app, Status& result);
void add_encode(CLI::App& app, Status& result);
void add_bench(CLI::App& app, Status& result);
void add_verify(CLI::App& app, Status& result);
void add_check(CLI::App& app, Status& result);
void add_new(CLI::App& app, Status& result);

}  // namespace tenon::cli
