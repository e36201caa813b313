#include <cmath>

#include "graph/ops.h"
#include "graph/ops/registry.h"
#include "graph/ops/unary.h"

namespace tenon::graph {
namespace {

std::vector<Type> infer(const Signature& signature) {
  if (!(number(signature.attributes, "cap") > 0)) reject(signature, "the cap must be positive");
  return infer_unary(signature);
}

void reference(Call& call) {
  const double cap = number(call.attributes, "cap");
  reference_unary(call, [cap](double x) { return cap * std::tanh(x / cap); });
}

}  // namespace

constinit const Op kSoftcap{.name = "softcap", .infer = infer, .reference = reference};

Value softcap(Value x, double cap) { return record(kSoftcap, {x}, {{"cap", cap}}); }

}  // namespace tenon::graph
