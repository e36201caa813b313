// Runs the passes over a graph.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "compiler/compile.h"
#include "compiler/passes/pass.h"

namespace tenon::compiler {

/// The coded form of bfloat16 weights is disabled by name as a pass is.
inline constexpr const char* kCodeWeights = "code_weights";

struct Optimized {
  std::unique_ptr<Graph> graph;
  std::vector<PassReport> reports;
  bool code_weights = true;  ///< not disabled
};

/// The graph without its taps.
std::unique_ptr<Graph> without_taps(const Graph& graph);

/// All passes but the disabled ones and those of TENON_DISABLE_PASSES, each followed by verify(). An unknown name is an
/// error that lists the known ones.
Result<Optimized> run_passes(const Graph& graph, const PassContext& context, std::vector<std::string> disabled);

}  // namespace tenon::compiler
