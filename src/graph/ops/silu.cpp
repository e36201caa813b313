#include <cmath>

#include "graph/ops.h"
#include "graph/ops/registry.h"
#include "graph/ops/unary.h"

namespace tenon::graph {

constinit const Op kSilu{.name = "silu", .infer = infer_unary, .reference = [](Call& call) {
                           reference_unary(call, [](double x) { return x / (1.0 + std::exp(-x)); });
                         }};

Value silu(Value x) { return record(kSilu, {x}); }

}  // namespace tenon::graph
