// The columns of all inputs beside one another: what a fused linear computes.
#include <algorithm>

#include "graph/ops.h"
#include "graph/ops/registry.h"

namespace tenon::graph {
namespace {

std::vector<Type> infer(const Signature& signature) {
  expect_inputs(signature, 1, signature.inputs.size());
  std::int64_t columns = 0;
  for (std::size_t i = 0; i < signature.inputs.size(); ++i) {
    expect_float(signature, i, "x");
    const std::int64_t n = last_dim(signature, i, "x");
    if (with_last_dim(signature.type(i), 1) != with_last_dim(signature.type(0), 1)) {
      reject(signature, describe(signature, 0, "the first") + ", " + describe(signature, i, "another") +
                            ": all dims but the last must be equal");
    }
    columns += n;
  }
  return {with_last_dim(signature.type(0), columns)};
}

void reference(Call& call) {
  for (std::int64_t m = 0; m < call.out().rows(); ++m) {
    float* out = call.out().row(m);
    for (const Tensor* x : call.inputs) out = std::copy_n(x->row(m), x->last(), out);
  }
}

}  // namespace

constinit const Op kConcat{.name = "concat", .infer = infer, .reference = reference};

Value concat(const std::vector<Value>& parts) { return record(kConcat, parts); }

}  // namespace tenon::graph
