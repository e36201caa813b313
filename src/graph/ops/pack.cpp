// x in the form that a matmul with weights of `weight_dtype` takes: float32, bfloat16 or int8 blocks. Packing rounds;
// the reference does not, which is what kernels are measured against.
#include "graph/ops/registry.h"
#include "graph/ops/unary.h"

namespace tenon::graph {

constinit const Op kPack{
    .name = "pack", .infer = infer_unary, .reference = [](Call& call) { call.out().f32 = call.in(0).f32; }};

}  // namespace tenon::graph
