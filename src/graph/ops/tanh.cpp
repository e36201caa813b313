#include <cmath>

#include "graph/ops.h"
#include "graph/ops/registry.h"
#include "graph/ops/unary.h"

namespace tenon::graph {

constinit const Op kTanh{.name = "tanh", .infer = infer_unary, .reference = [](Call& call) {
                           reference_unary(call, [](double x) { return std::tanh(x); });
                         }};

Value tanh(Value x) { return record(kTanh, {x}); }

}  // namespace tenon::graph
