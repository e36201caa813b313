#include "nn/experts.h"

namespace tenon::nn {

GatedExperts::GatedExperts(const Scope& w, int num_experts, int hidden_size, int intermediate_size,
                           Activation activation)
    : scope_(w),
      gate_proj_((w / "gate_proj").weight("weight", {num_experts, intermediate_size, hidden_size}, WeightUse::kMatmul)),
      up_proj_((w / "up_proj").weight("weight", {num_experts, intermediate_size, hidden_size}, WeightUse::kMatmul)),
      down_proj_((w / "down_proj").weight("weight", {num_experts, hidden_size, intermediate_size}, WeightUse::kMatmul)),
      activation_(activation) {}

Value GatedExperts::operator()(Value x, const graph::Routing& routing) const {
  const auto entered = scope_.enter();
  const Value gate = graph::expert_linear(x, routing.ids, gate_proj_);
  const Value up = graph::expert_linear(x, routing.ids, up_proj_);
  return graph::combine_experts(graph::expert_linear(activation_(gate) * up, routing.ids, down_proj_), routing.weights);
}

}  // namespace tenon::nn
