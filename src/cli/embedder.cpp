// What commands that embed share.
#include <CLI/CLI.hpp>

#include "base/log.h"
#include "cli/cli.h"
#include "cli/validators.h"

namespace tenon::cli {

Result<std::shared_ptr<const generate::Embedder>> make_embedder(const Assembly& assembly, const ModelOptions& options) {
  const loader::LoadedModel& model = assembly.model;
  const loader::Embedding& embedding = *model.embedding;
  generate::Embedder::Parts parts;
  parts.tokenizer = assembly.tokenizer;
  TENON_ASSIGN(auto encoder, engine::Encoder::create(model.executable,
                                                     {.pooling = embedding.pooling,
                                                      .vocab_size = model.vocab_size,
                                                      .max_length = model.max_length,
                                                      .whole_texts = embedding.whole_texts},
                                                     assembly.threads));
  engine::EncoderLoop::Options queue;
  if (options.max_queue_size > 0) queue.max_queued_texts = static_cast<std::size_t>(options.max_queue_size);
  parts.encoder = std::make_shared<engine::EncoderLoop>(std::move(encoder), queue);
  parts.add_special_tokens = model.text.add_bos_token;
  parts.prompt = embedding.prompt;
  if (!parts.prompt.empty()) TENON_LOG_INFO("every text is embedded as \"{}\" and itself", parts.prompt);
  parts.matryoshka = {.allowed = embedding.matryoshka || options.matryoshka,
                      .dimensions = embedding.matryoshka_dimensions};
  return std::make_shared<const generate::Embedder>(std::move(parts));
}

void add_task(CLI::App& command, ModelOptions& options) {
  const std::map<std::string, int> tasks = {{"auto", static_cast<int>(loader::Task::kAuto)},
                                            {"generate", static_cast<int>(loader::Task::kGenerate)},
                                            {"embed", static_cast<int>(loader::Task::kEmbed)}};
  command
      .add_option("--task", options.load.task,
                  "generate, embed, or auto: what the architecture does; of one that does both, embedding where the "
                  "model's files (modules.json) say so")
      ->transform(one_of_enum(tasks))
      ->option_text("auto|generate|embed")
      ->default_str("auto");
}

void add_matryoshka(CLI::App& command, ModelOptions& options) {
  command.add_flag("--matryoshka", options.matryoshka,
                   "Vectors may be cut to fewer dimensions, though the model's config.json does not say so");
}

}  // namespace tenon::cli
