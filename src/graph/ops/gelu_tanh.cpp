#include <cmath>

#include "graph/ops.h"
#include "graph/ops/registry.h"
#include "graph/ops/unary.h"

namespace tenon::graph {

constinit const Op kGeluTanh{.name = "gelu_tanh", .infer = infer_unary, .reference = [](Call& call) {
                               reference_unary(call, [](double x) {
                                 return 0.5 * x * (1.0 + std::tanh(0.7978845608028654 * (x + 0.044715 * x * x * x)));
                               });
                             }};

Value gelu_tanh(Value x) { return record(kGeluTanh, {x}); }

}  // namespace tenon::graph
