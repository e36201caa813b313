// How a router's options are kept as a node's attributes.
#pragma once

#include "graph/ops.h"
#include "graph/ops/op.h"

namespace tenon::graph {

RouterOptions router_options(const Attributes& attributes);

}  // namespace tenon::graph
