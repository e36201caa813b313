// Files -> config -> architecture -> graph -> Executable. The only place where all of the model path meets.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/json.h"
#include "base/result.h"
#include "base/thread_pool.h"
#include "compiler/compile.h"
#include "runtime/executable.h"
#include "runtime/pooling.h"

namespace tenon::loader {

/// What a model is to do. kAuto: what its architecture does; of one that does both, embedding where the files of
/// sentence-transformers (modules.json) or GGUF's pooling_type are beside the weights, else generation.
enum class Task : std::uint8_t { kAuto, kGenerate, kEmbed };

/// What the text side needs, as data: the files of a directory, or GGUF's metadata.
struct TextAssets {
  std::string tokenizer_json;            ///< text of tokenizer.json; empty for GGUF or where there is none
  Json gguf_metadata = nullptr;          ///< GGUF's, or null
  std::string chat_template;             ///< Jinja source; empty if the model has none
  Json special_tokens = Json::object();  ///< {"bos_token": "<s>", "eos_token": …}
  Json generation_config = Json::object();
  std::vector<std::int32_t> eos_token_ids;  ///< of generation_config, config and the GGUF's end-of-turn token
  std::optional<bool> add_bos_token;        ///< GGUF's tokenizer.ggml.add_bos_token; JSON tokenizers say it themselves
};

struct LoadOptions {
  std::string model;  ///< hub id ("org/name"), directory, or .gguf file
  std::string revision = "main";
  std::string quantization_encoding;  ///< "bfloat16", "float32", "q8_0", …; empty: the default for the checkpoint
  std::string kv_cache_dtype;         ///< "bfloat16", "float32"; empty: float32 with float32 weights, else bfloat16
  int max_length = 0;                 ///< 0: what the model's config allows
  runtime::Limits limits;             ///< max_pages_per_row is set from max_length
  Task task = Task::kAuto;
  std::vector<std::string> custom_architectures;  ///< folders or .so files; see load_custom_architectures
  bool taps = false;
  bool pack_later = false;  ///< see compiler::CompileOptions; not for embedding
  std::vector<std::string> disabled_passes;
  /// Looks at the text side of a model, which may be one that `embeds`, before any weight is packed; its error ends the
  /// loading.
  std::function<Status(const TextAssets&, bool embeds)> check_text;
};

/// How an embedding model makes vectors of texts.
struct Embedding {
  runtime::Pooling pooling;
  std::string prompt = {};  ///< to be put before every text
  bool whole_texts = true;  ///< tokens see what follows them, so that a text must be in one run
  bool matryoshka = false;  ///< config.json: vectors may be cut to their first dimensions
  std::vector<std::int64_t> matryoshka_dimensions = {};  ///< the only ones to which they may be cut; empty: any
};

struct LoadedModel {
  std::string name;                           ///< as the user named it
  std::string architecture;                   ///< "LlamaForCausalLM"
  std::string encoding;                       ///< "bfloat16", "q4_0", …
  std::string tool_parser, reasoning_parser;  ///< the architecture's; may be empty
  int max_length = 0;
  std::int64_t parameters = 0;
  std::int64_t vocab_size = 0;
  std::optional<Embedding> embedding;  ///< of an embedding model
  std::shared_ptr<runtime::Executable> executable;
  TextAssets text;
};

/// Builds and loads architectures of the user's own (model/plugin/plugins.h), before there are threads. load() and
/// inspect() do it too, for those that are not loaded yet.
Status load_custom_architectures(const std::vector<std::string>& paths);

/// A model for options.task. Every failure names the tensor, field or file. An embedding model's executable returns
/// hidden states; its limits on tokens are raised as far as pooling and whole texts want it.
Result<LoadedModel> load_any(LoadOptions options, ThreadPool& pool);
/// The same for Task::kGenerate: a model that cannot is refused.
Result<LoadedModel> load(LoadOptions options, ThreadPool& pool);
/// The same for Task::kEmbed.
Result<LoadedModel> load_embedder(LoadOptions options, ThreadPool& pool);

/// The text of `tenon inspect`, and what is wrong with the weights, which it says too; loads none of them.
struct Inspection {
  std::string text;
  std::vector<std::string> problems;
};
Result<Inspection> inspect(const LoadOptions& options);

/// One row of `tenon list`, as JSON: name, family, task, encodings, modalities, example_repos.
Json list_architectures();

}  // namespace tenon::loader
