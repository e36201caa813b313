#include "compiler/pipeline.h"

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <sstream>

#include "graph/verify.h"

namespace tenon::compiler {
namespace {

Status check_names(const std::vector<std::string>& disabled) {
  for (const std::string& name : disabled) {
    if (name == kCodeWeights) continue;
    const auto pass = std::ranges::find_if(passes(), [&](const Pass& p) { return name == p.name; });
    if (pass == passes().end()) {
      std::string known;
      for (const Pass& p : passes()) known += p.name + std::string(", ");
      known += kCodeWeights;
      return invalid("there is no pass \"" + name + "\" to disable; the passes are " + known, "disabled_passes");
    }
    if (pass->required)
      return invalid("the pass " + name + " cannot be disabled: lowering needs it", "disabled_passes");
  }
  return {};
}

}  // namespace

std::unique_ptr<Graph> without_taps(const Graph& graph) {
  graph::Copier copier(graph, /*keep_taps=*/false);
  for (const Node& node : graph.nodes()) copier.copy(node);
  return copier.finish();
}

Result<Optimized> run_passes(const Graph& graph, const PassContext& context, std::vector<std::string> disabled) {
  if (const char* names = std::getenv("TENON_DISABLE_PASSES")) {
    std::istringstream list(names);
    for (std::string name; std::getline(list, name, ',');) {
      if (!name.empty()) disabled.push_back(name);
    }
  }
  TENON_TRY(check_names(disabled));
  TENON_TRY(graph::verify(graph));
  Optimized result;
  result.code_weights = std::ranges::find(disabled, kCodeWeights) == disabled.end();
  const Graph* current = &graph;
  for (const Pass& pass : passes()) {
    PassReport report{.name = pass.name, .nodes_before = static_cast<int>(current->nodes().size())};
    report.disabled = std::ranges::find(disabled, pass.name) != disabled.end();
    if (!report.disabled) {
      const auto begin = std::chrono::steady_clock::now();
      result.graph = pass.run(*current, context);
      current = result.graph.get();
      report.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
      if (Status status = graph::verify(*current); !status)
        return wrap(status.error(), "after the pass " + report.name);
    }
    report.nodes_after = static_cast<int>(current->nodes().size());
    result.reports.push_back(std::move(report));
  }
  return result;
}

}  // namespace tenon::compiler
