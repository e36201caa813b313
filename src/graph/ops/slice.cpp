#include <algorithm>

#include "graph/ops.h"
#include "graph/ops/registry.h"

namespace tenon::graph {
namespace {

std::vector<Type> infer(const Signature& signature) {
  expect_inputs(signature, 1, 1);
  expect_float(signature, 0, "x");
  const std::int64_t begin = integer(signature.attributes, "begin"), end = integer(signature.attributes, "end");
  if (begin < 0 || begin >= end || end > last_dim(signature, 0, "x")) {
    reject(signature, describe(signature, 0, "x") + ", which has no columns " + std::to_string(begin) + " to " +
                          std::to_string(end));
  }
  return {with_last_dim(signature.type(0), end - begin)};
}

void reference(Call& call) {
  const std::int64_t begin = integer(call.attributes, "begin");
  for (std::int64_t m = 0; m < call.in(0).rows(); ++m) {
    std::copy_n(call.in(0).row(m) + begin, call.out().last(), call.out().row(m));
  }
}

}  // namespace

constinit const Op kSlice{.name = "slice", .infer = infer, .reference = reference};

Value slice(Value x, std::int64_t begin, std::int64_t end) {
  return record(kSlice, {x}, {{"begin", begin}, {"end", end}});
}

}  // namespace tenon::graph
