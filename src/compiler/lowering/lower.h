// Graph → steps over storages. Reshapes and slices become views; values that can are written over the ones they
// replace.
#pragma once

#include "compiler/compile.h"
#include "compiler/lowering/storage.h"
#include "compiler/passes/pass.h"

namespace tenon::compiler {

/// `graph` has gone through the passes. What lowering cannot do is kUnsupported and names the module.
Result<Lowered> lower(const Graph& graph, const PassContext& context, const CompileOptions& options);

/// Steps → phases and arena offsets.
runtime::Plan make_plan(Lowered lowered, const CompileOptions& options);

/// Packs the weights, one after another, in parallel on the pool. `later`: those in mapped files stay unpacked.
Result<runtime::Weights> pack_weights(const Lowered& lowered, WeightProvider& provider, bool later, ThreadPool& pool);

}  // namespace tenon::compiler
