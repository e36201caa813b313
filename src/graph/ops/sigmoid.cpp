#include <cmath>

#include "graph/ops.h"
#include "graph/ops/registry.h"
#include "graph/ops/unary.h"

namespace tenon::graph {

constinit const Op kSigmoid{.name = "sigmoid", .infer = infer_unary, .reference = [](Call& call) {
                              reference_unary(call, [](double x) { return 1.0 / (1.0 + std::exp(-x)); });
                            }};

Value sigmoid(Value x) { return record(kSigmoid, {x}); }

}  // namespace tenon::graph
