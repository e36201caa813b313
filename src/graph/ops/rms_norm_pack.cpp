// rms_norm whose result is only multiplied with weights: normalised while it is packed.
#include "graph/ops.h"
#include "graph/ops/registry.h"

namespace tenon::graph {
namespace {

std::vector<Value> decompose(Graph&, const std::vector<Value>& in, const Attributes& attributes) {
  const Value normed = rms_norm(in[0], in[1], number(attributes, "eps"), number(attributes, "weight_offset"));
  return {record(kPack, {normed}, {{"weight_dtype", attribute<std::string>(attributes, "weight_dtype")}})};
}

}  // namespace

constinit const Op kRmsNormPack{.name = "rms_norm_pack",
                                .infer = [](const Signature& signature) { return kRmsNorm.infer(signature); },
                                .decompose = decompose};

}  // namespace tenon::graph
