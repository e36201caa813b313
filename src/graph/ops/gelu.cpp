#include <cmath>

#include "graph/ops.h"
#include "graph/ops/registry.h"
#include "graph/ops/unary.h"

namespace tenon::graph {

constinit const Op kGelu{.name = "gelu", .infer = infer_unary, .reference = [](Call& call) {
                           reference_unary(call,
                                           [](double x) { return 0.5 * x * (1.0 + std::erf(x / std::sqrt(2.0))); });
                         }};

Value gelu(Value x) { return record(kGelu, {x}); }

}  // namespace tenon::graph
