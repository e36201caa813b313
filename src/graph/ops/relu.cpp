#include <cmath>

#include "graph/ops.h"
#include "graph/ops/registry.h"
#include "graph/ops/unary.h"

namespace tenon::graph {

constinit const Op kRelu{.name = "relu", .infer = infer_unary, .reference = [](Call& call) {
                           reference_unary(call, [](double x) { return x > 0.0 ? x : 0.0; });
                         }};

Value relu(Value x) { return record(kRelu, {x}); }

}  // namespace tenon::graph
