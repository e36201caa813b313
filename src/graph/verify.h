// Checks a graph after a pass has made it.
#pragma once

#include "base/result.h"
#include "graph/graph.h"

namespace tenon::graph {

/// Every node's types re-inferred, inputs made before they are used, each value made once, outputs present. kInternal
/// with the node at fault otherwise.
Status verify(const Graph& graph);

}  // namespace tenon::graph
