// Files -> config -> architecture -> graph -> Executable. The only place where all of the model path meets.
#pragma once

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

struct LoadOptions {
  std::string model;  ///< hub id ("org/name"), directory, or .gguf file
  std::string revision = "main";
  std::string quantization_encoding;  ///< "bfloat16", "float32", "q8_0", …; empty: the default for the checkpoint
  std::string kv_cache_dtype;         ///< "bfloat16", "float32"; empty: float32 with float32 weights, else bfloat16
  int max_length = 0;                 ///< 0: what the model's config allows
  runtime::Limits limits;             ///< max_pages_per_row is set from max_length
  std::vector<std::string> custom_architectures;  ///< folders or .so files; see load_custom_architectures
  bool taps = false;
  std::vector<std::string> disabled_passes;
};

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

struct LoadedModel {
  std::string name;                           ///< as the user named it
  std::string architecture;                   ///< "LlamaForCausalLM"
  std::string encoding;                       ///< "bfloat16", "q4_0", …
  std::string tool_parser, reasoning_parser;  ///< the architecture's; may be empty
  int max_length = 0;
  std::int64_t parameters = 0;
  std::int64_t vocab_size = 0;
  std::optional<runtime::Pooling> pooling;  ///< of an embedding model
  std::shared_ptr<runtime::Executable> executable;
  TextAssets text;
};

/// Builds and loads architectures of the user's own (model/plugin/plugins.h), before there are threads. load() and
/// inspect() do it too, for those that are not loaded yet.
Status load_custom_architectures(const std::vector<std::string>& paths);

/// A model that generates text. Every failure names the tensor, field or file; an embedding model is refused.
Result<LoadedModel> load(const LoadOptions& options, ThreadPool& pool);

/// An embedding model, whose executable returns hidden states. A text is run whole, so the limits on tokens are raised
/// to its max_length. A model that generates text is refused.
Result<LoadedModel> load_embedder(LoadOptions options, ThreadPool& pool);

/// The text of `tenon inspect`; loads no weights.
Result<std::string> inspect(const LoadOptions& options);

/// One row of `tenon list`, as JSON: name, family, task, encodings, modalities, example_repos.
Json list_architectures();

}  // namespace tenon::loader
