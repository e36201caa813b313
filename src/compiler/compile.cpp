#include "compiler/compile.h"

#include <algorithm>
#include <cstdio>

#include "base/memory.h"
#include "compiler/lowering/lower.h"
#include "compiler/pipeline.h"

namespace tenon::compiler {
namespace {

tensor::DType packed_dtype(tensor::DType stored, const CompileOptions& options) {
  return tensor::info(stored).quantized && !options.dequantize ? stored : options.float_dtype;
}

Result<PassContext> make_context(const Graph& graph, WeightProvider& weights, const CompileOptions& options) {
  PassContext context;
  for (const auto& request : graph.weights()) {
    if (std::ranges::find(request.uses, graph::WeightUse::kMatmul) == request.uses.end()) continue;
    TENON_ASSIGN(const tensor::DType stored, weights.dtype(request.name));
    context.packed_dtypes[request.name] = packed_dtype(stored, options);
  }
  return context;
}

struct Prepared {
  Optimized optimized;
  Lowered lowered;
};

Result<Prepared> prepare(const Graph& graph, WeightProvider& weights, const CompileOptions& options) {
  TENON_ASSIGN(PassContext context, make_context(graph, weights, options));
  const std::unique_ptr<Graph> untapped = options.taps ? nullptr : without_taps(graph);
  Prepared prepared;
  TENON_ASSIGN(prepared.optimized, run_passes(untapped ? *untapped : graph, context, options.disabled_passes));
  context.code_weights = prepared.optimized.code_weights;
  TENON_ASSIGN(prepared.lowered, lower(*prepared.optimized.graph, context, options));
  return prepared;
}

std::string mebibytes(std::int64_t bytes) {
  char text[32];
  std::snprintf(text, sizeof text, "%.0f MiB", static_cast<double>(bytes) / (1 << 20));
  return text;
}

Status check_memory(const runtime::Plan& plan) {
  const std::int64_t needed = plan.weight_bytes + plan.arena_bytes;
  const std::size_t available = available_memory();
  if (static_cast<std::size_t>(needed) <= available) return {};
  return fail(ErrorCode::kResourceExhausted, "the model needs " + mebibytes(plan.weight_bytes) + " for weights and " +
                                                 mebibytes(plan.arena_bytes) + " for intermediate values, and only " +
                                                 mebibytes(static_cast<std::int64_t>(available)) +
                                                 " are free; choose a smaller model or encoding");
}

}  // namespace

Result<Explanation> explain(const graph::Graph& graph, WeightProvider& weights, const CompileOptions& options) {
  TENON_ASSIGN(Prepared prepared, prepare(graph, weights, options));
  Explanation explanation{.graph_before = to_text(graph),
                          .graph_after = to_text(*prepared.optimized.graph),
                          .passes = std::move(prepared.optimized.reports)};
  const runtime::Plan plan = make_plan(std::move(prepared.lowered), options);
  explanation.plan = runtime::to_text(plan);
  explanation.weight_bytes = plan.weight_bytes;
  explanation.arena_bytes = plan.arena_bytes;
  return explanation;
}

Result<std::shared_ptr<runtime::Executable>> compile(const graph::Graph& graph, WeightProvider& weights,
                                                     const CompileOptions& options, ThreadPool& pool) {
  TENON_ASSIGN(Prepared prepared, prepare(graph, weights, options));
  runtime::Plan plan = make_plan(prepared.lowered, options);
  TENON_TRY(check_memory(plan));
  // Until all is packed, the file's pages are read again and again: they must stay in memory beside the packed ones,
  // which coded are three quarters of the file.
  const std::int64_t both = plan.weight_bytes * 5 / 2 + plan.arena_bytes;
  const bool later = options.pack_later && static_cast<std::size_t>(both) <= available_memory();
  TENON_ASSIGN(runtime::Weights packed, pack_weights(prepared.lowered, weights, later, pool));
  return runtime::make_executable(std::move(plan), std::move(packed), pool.size());
}

}  // namespace tenon::compiler
