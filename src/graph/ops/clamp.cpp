#include "graph/ops.h"
#include "graph/ops/registry.h"
#include "graph/ops/unary.h"

namespace tenon::graph {
namespace {

std::vector<Type> infer(const Signature& signature) {
  if (!(number(signature.attributes, "min") <= number(signature.attributes, "max"))) {
    reject(signature, "min must not be more than max");
  }
  return infer_unary(signature);
}

void reference(Call& call) {
  const double min = number(call.attributes, "min"), max = number(call.attributes, "max");
  reference_unary(call, [=](double x) { return x < min ? min : x > max ? max : x; });
}

}  // namespace

constinit const Op kClamp{.name = "clamp", .infer = infer, .reference = reference};

Value clamp(Value x, double min, double max) { return record(kClamp, {x}, {{"min", min}, {"max", max}}); }

}  // namespace tenon::graph
