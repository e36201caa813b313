// A mixture of gated MLPs.
#pragma once

#include "graph/ops.h"
#include "nn/layers.h"

namespace tenon::nn {

/// Σ_j weights[t, j] · down_proj_e(activation(gate_proj_e(x)) * up_proj_e(x)) over the experts e = ids[t, j] of a token
/// (Shazeer 2017; GLU variants, Shazeer 2020): [T, hidden] → the same. Tensors, of all experts: gate_proj.weight and
/// up_proj.weight [experts, intermediate, hidden], down_proj.weight [experts, hidden, intermediate]. How a checkpoint
/// holds them is its adapter's matter.
class GatedExperts {
 public:
  GatedExperts(const Scope& w, int num_experts, int hidden_size, int intermediate_size, Activation activation);
  Value operator()(Value x, const graph::Routing& routing) const;

 private:
  Scope scope_;
  Value gate_proj_, up_proj_, down_proj_;
  Activation activation_;
};

}  // namespace tenon::nn
