// k is rotated on its way into the cache.
#include "graph/ops.h"
#include "graph/ops/registry.h"

namespace tenon::graph {
namespace {

// Inputs: k, v, positions, row_offsets, page_table (as kv_append), table.
std::vector<Type> infer(const Signature& signature) {
  expect_inputs(signature, 6, 6);
  Signature rope = signature, append = signature;
  rope.inputs = {signature.inputs[0], signature.inputs[5]};
  append.inputs.pop_back();
  kRope.infer(rope);
  return kKvAppend.infer(append);
}

std::vector<Value> decompose(Graph&, const std::vector<Value>& in, const Attributes& attributes) {
  const Value k = rope(in[0], in[5], integer(attributes, "interleaved") != 0);
  return {kv_append(k, in[1], static_cast<int>(integer(attributes, "layer")), in[2], in[3], in[4])};
}

}  // namespace

constinit const Op kRopeKvAppend{.name = "rope_kv_append", .infer = infer, .decompose = decompose};

}  // namespace tenon::graph
