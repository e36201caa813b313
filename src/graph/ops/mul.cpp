#include "graph/ops.h"
#include "graph/ops/binary.h"
#include "graph/ops/registry.h"

namespace tenon::graph {

constinit const Op kMul{.name = "mul", .infer = infer_binary, .reference = [](Call& call) {
                          reference_binary(call, [](float a, float b) { return a * b; });
                        }};

Value mul(Value a, Value b) { return record(kMul, {a, b}); }

}  // namespace tenon::graph
