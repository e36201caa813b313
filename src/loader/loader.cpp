#include "loader/loader.h"

#include <algorithm>

#include "base/log.h"
#include "base/memory.h"
#include "loader/prepare.h"

namespace tenon::loader {
namespace {

std::string gigabytes(std::int64_t bytes) {
  char text[32];
  std::snprintf(text, sizeof text, "%.2f GB", static_cast<double>(bytes) / 1e9);
  return text;
}

// Before anything is packed: weights and arena must fit. (The KV cache is the engine's, which says its own size.)
Status check_memory(const PreparedModel& prepared, CheckpointWeights& weights,
                    const compiler::CompileOptions& options) {
  TENON_ASSIGN(const compiler::Explanation plan, compiler::explain(*prepared.graph, weights, options));
  const std::int64_t needed = plan.weight_bytes + plan.arena_bytes;
  const auto available = static_cast<std::int64_t>(available_memory());
  if (needed <= available) return {};
  const bool is_float = prepared.encoding.name == "float32" || prepared.encoding.name == "bfloat16";
  return fail(ErrorCode::kResourceExhausted, "model " + prepared.name + " needs " + gigabytes(needed) + " of memory (" +
                                                 gigabytes(plan.weight_bytes) + " of weights as " +
                                                 prepared.encoding.name + ", " + gigabytes(plan.arena_bytes) +
                                                 " of working memory) beside the KV cache, but only " +
                                                 gigabytes(available) + " are available: free memory, or use " +
                                                 (is_float ? "a quantized GGUF or " : "") + "a smaller model");
}

Result<LoadedModel> finish(PreparedModel prepared, const LoadOptions& options, ThreadPool& pool) {
  for (const std::string& note : prepared.config->notes) TENON_LOG_WARN("{}", note);
  CheckpointWeights weights(prepared.checkpoint, prepared.weights);
  const compiler::CompileOptions compile_options = prepared.compile_options(options);
  TENON_TRY(check_memory(prepared, weights, compile_options));
  TENON_ASSIGN(auto executable, compiler::compile(*prepared.graph, weights, compile_options, pool));
  return LoadedModel{.name = prepared.name,
                     .architecture = std::string(prepared.entry.architecture->name),
                     .encoding = prepared.encoding.name,
                     .tool_parser = std::string(prepared.entry.architecture->tool_parser),
                     .reasoning_parser = std::string(prepared.entry.architecture->reasoning_parser),
                     .max_length = prepared.max_length,
                     .parameters = prepared.weights.parameters,
                     .vocab_size = prepared.config->vocab_size,
                     .embedding = prepared.embedding,
                     .executable = std::move(executable),
                     .text = std::move(prepared.text)};
}

}  // namespace

Result<LoadedModel> load_any(LoadOptions options, ThreadPool& pool) {
  TENON_ASSIGN(PreparedModel prepared, prepare(options, /*strict=*/true));
  if (options.check_text) TENON_TRY(options.check_text(prepared.text, prepared.embedding.has_value()));
  if (prepared.embedding) {
    runtime::Limits& limits = options.limits;
    if (prepared.embedding->whole_texts)
      limits.max_total_tokens = std::max(limits.max_total_tokens, prepared.max_length);
    const bool last_only = prepared.embedding->pooling.mode == runtime::PoolingMode::kLastToken;
    limits.max_sampled_rows = last_only ? limits.max_rows : limits.max_total_tokens;
  }
  return finish(std::move(prepared), options, pool);
}

Result<LoadedModel> load(LoadOptions options, ThreadPool& pool) {
  options.task = Task::kGenerate;
  return load_any(std::move(options), pool);
}

Result<LoadedModel> load_embedder(LoadOptions options, ThreadPool& pool) {
  options.task = Task::kEmbed;
  return load_any(std::move(options), pool);
}

}  // namespace tenon::loader
