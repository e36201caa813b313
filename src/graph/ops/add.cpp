#include "graph/ops.h"
#include "graph/ops/binary.h"
#include "graph/ops/registry.h"

namespace tenon::graph {

constinit const Op kAdd{.name = "add", .infer = infer_binary, .reference = [](Call& call) {
                          reference_binary(call, [](float a, float b) { return a + b; });
                        }};

Value add(Value a, Value b) { return record(kAdd, {a, b}); }

}  // namespace tenon::graph
