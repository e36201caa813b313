#include "graph/ops.h"
#include "graph/ops/registry.h"
#include "graph/ops/unary.h"

namespace tenon::graph {

constinit const Op kScale{.name = "scale", .infer = infer_unary, .reference = [](Call& call) {
                            const double s = number(call.attributes, "s");
                            reference_unary(call, [s](double x) { return x * s; });
                          }};

Value scale(Value x, double s) { return record(kScale, {x}, {{"s", s}}); }

}  // namespace tenon::graph
