#include <algorithm>
#include <cstdio>

#include "base/file.h"
#include "base/log.h"
#include "base/memory.h"
#include "cli/cli.h"

namespace tenon::cli {
namespace {

// What is free but for the weights that are still to be packed.
std::int64_t free_memory(const runtime::Executable& executable) {
  return std::max<std::int64_t>(0, static_cast<std::int64_t>(available_memory()) - executable.unpacked_bytes());
}

std::int64_t pages_for(std::int64_t tokens) { return (tokens + tensor::kPageTokens - 1) / tensor::kPageTokens; }

// As many pages as full batches of full contexts could use, but no more than half of the free memory.
Result<std::int64_t> choose_pages(const ModelOptions& options, const runtime::Executable& executable, int max_length) {
  const std::int64_t page_bytes = executable.kv_layout().page_bytes();
  if (!options.kv_cache_memory.empty()) {
    TENON_ASSIGN(const std::int64_t bytes, parse_bytes(options.kv_cache_memory));
    if (bytes < page_bytes) {
      return invalid("--kv-cache-memory " + options.kv_cache_memory + " is less than one page of " +
                     std::to_string(tensor::kPageTokens) + " tokens, which takes " + std::to_string(page_bytes) +
                     " bytes");
    }
    if (bytes > free_memory(executable)) {
      return fail(ErrorCode::kResourceExhausted, "--kv-cache-memory " + options.kv_cache_memory + " needs " +
                                                     std::to_string(bytes >> 20) + " MiB, but only " +
                                                     std::to_string(free_memory(executable) >> 20) + " MiB are free");
    }
    return bytes / page_bytes;
  }
  const std::int64_t useful = options.max_batch_size * pages_for(max_length);
  const std::int64_t affordable = free_memory(executable) / 2 / page_bytes;
  if (affordable < 1) {
    return fail(ErrorCode::kResourceExhausted, "too little memory for the KV cache: one page of " +
                                                   std::to_string(tensor::kPageTokens) + " tokens takes " +
                                                   std::to_string(page_bytes >> 10) + " KiB");
  }
  return std::min(useful, affordable);
}

// A context that the cache cannot hold is none to promise: replies would end early, and nobody would know why.
void cut_context(loader::LoadedModel& model, std::int64_t pages) {
  const std::int64_t tokens = pages * tensor::kPageTokens;
  if (tokens >= model.max_length) return;
  const std::int64_t bytes = pages_for(model.max_length) * model.executable->kv_layout().page_bytes();
  TENON_LOG_WARN(
      "the KV cache holds {} tokens: the context is cut to that, from {}; --kv-cache-memory {}MiB would hold all of it",
      tokens, model.max_length, ((bytes - 1) >> 20) + 1);
  model.max_length = static_cast<int>(tokens);
}

void add_generator(Assembly& out) {
  const loader::TextAssets& text = out.model.text;
  generate::Generator::Parts parts;
  parts.engine = out.engine;
  parts.eos_token_ids = text.eos_token_ids;
  parts.add_special_tokens = text.add_bos_token;
  parts.tokenizer = out.tokenizer;
  parts.chat_template = out.chat_template;
  if (out.chat_template == nullptr) {
    TENON_LOG_WARN(
        "{} has no chat template: /v1/chat/completions and /v1/responses will be refused, /v1/completions works",
        out.model.name);
  }
  out.generator = std::make_shared<generate::Generator>(std::move(parts));
}

Result<std::shared_ptr<const tokenizer::Tokenizer>> make_tokenizer(const std::string& model,
                                                                   const loader::TextAssets& text) {
  if (!text.tokenizer_json.empty()) return tokenizer::Tokenizer::from_json(text.tokenizer_json);
  if (!text.gguf_metadata.is_null()) return tokenizer::Tokenizer::from_gguf(text.gguf_metadata);
  return fail(ErrorCode::kNotFound,
              model + ": there is no tokenizer; put the model's tokenizer.json into its directory");
}

Result<Assembly> load_model(ModelOptions& options, bool need_text) {
  Assembly out;
  auto& limits = options.load.limits;
  limits.max_rows = options.max_batch_size;
  limits.max_sampled_rows = options.max_batch_size + std::max(options.extra_logits, options.speculative_tokens - 1);
  limits.max_total_tokens = std::max(options.max_batch_tokens, options.max_batch_size);
  std::string own_template;
  if (!options.chat_template.empty()) {
    TENON_ASSIGN(own_template, read_file(options.chat_template));
  }
  // Here, for what is wrong with a text file is better known before minutes of packing.
  loader::LoadOptions load = options.load;
  load.check_text = [&](const loader::TextAssets& text, bool embeds) -> Status {
    if (!need_text) return {};
    TENON_ASSIGN(out.tokenizer, make_tokenizer(load.model, text));
    const std::string& source = options.chat_template.empty() ? text.chat_template : own_template;
    if (embeds || source.empty()) return {};
    TENON_ASSIGN(out.chat_template, chat::ChatTemplate::create(source, text.special_tokens));
    return {};
  };
  out.threads = options.threads > 0 ? options.threads : ThreadPool::default_threads();
  TENON_TRY(loader::load_custom_architectures(load.custom_architectures));
  ThreadPool pool(out.threads);
  TENON_ASSIGN(out.model, loader::load_any(load, pool));
  if (!options.chat_template.empty()) out.model.text.chat_template = own_template;
  return out;
}

Status start_engine(Assembly& out, const ModelOptions& options, bool need_text, TimePoint begin) {
  const auto& executable = *out.model.executable;
  engine::Options engine;
  engine.max_batch_size = options.max_batch_size;
  engine.max_batch_tokens = options.load.limits.max_total_tokens;
  engine.prefill_chunk = options.max_batch_tokens;
  engine.mixed_prefill = options.max_mixed_prefill;
  if (options.max_queue_size > 0) engine.max_queue_size = options.max_queue_size;
  engine.prefix_cache = options.prefix_cache;
  engine.speculative_tokens = std::min(options.speculative_tokens, engine.max_batch_tokens);
  TENON_ASSIGN(engine.num_pages, choose_pages(options, executable, out.model.max_length));
  cut_context(out.model, engine.num_pages);
  if (out.model.max_length < 2) {
    return invalid("a context of 1 token holds no prompt with a reply: --max-length must be at least 2", "max_length");
  }
  engine.max_length = out.model.max_length;
  TENON_ASSIGN(out.engine, engine::Engine::create(out.model.executable, engine, out.threads));
  if (need_text) add_generator(out);
  TENON_LOG_INFO(
      "{}: {}, {}, {:.1f} M parameters in {:.0f} MiB, context {}, KV cache {} tokens in up to {:.0f} MiB, {} threads; "
      "ready in {:.2f} s",
      out.model.name, out.model.architecture, out.model.encoding, static_cast<double>(out.model.parameters) / 1e6,
      static_cast<double>(executable.weight_bytes()) / (1 << 20), out.model.max_length,
      engine.num_pages * tensor::kPageTokens,
      static_cast<double>(engine.num_pages * executable.kv_layout().page_bytes()) / (1 << 20), out.threads,
      seconds_between(begin, std::chrono::steady_clock::now()));
  return {};
}

}  // namespace

Result<Assembly> assemble(ModelOptions options, bool need_text) {
  const TimePoint begin = std::chrono::steady_clock::now();
  options.load.task = loader::Task::kGenerate;
  TENON_ASSIGN(Assembly out, load_model(options, need_text));
  TENON_TRY(start_engine(out, options, need_text, begin));
  return out;
}

Result<Assembly> assemble_any(ModelOptions options) {
  const TimePoint begin = std::chrono::steady_clock::now();
  options.load.pack_later = true;
  TENON_ASSIGN(Assembly out, load_model(options, true));
  if (!out.model.embedding) {
    TENON_TRY(start_engine(out, options, true, begin));
    return out;
  }
  TENON_ASSIGN(out.embedder, make_embedder(out, options));
  out.model.max_length = out.embedder->max_length();
  TENON_LOG_INFO(
      "{}: {}, {}, {:.1f} M parameters in {:.0f} MiB, embeds texts of up to {} tokens in {} dimensions, {} threads; "
      "ready in {:.2f} s",
      out.model.name, out.model.architecture, out.model.encoding, static_cast<double>(out.model.parameters) / 1e6,
      static_cast<double>(out.model.executable->weight_bytes()) / (1 << 20), out.model.max_length,
      out.embedder->encoder().encoder().dimensions(), out.threads,
      seconds_between(begin, std::chrono::steady_clock::now()));
  return out;
}

}  // namespace tenon::cli
