// Causal depthwise convolution over the cached states of a sequence. All taps, the newest among them, come from the
// cache, so that a token's result does not depend on which of them came in the same batch.
#include "graph/ops.h"
#include "graph/ops/registry.h"
#include "tensor/kv_layout.h"

namespace tenon::graph {
namespace {

// Inputs: state, weight, positions, row_offsets, page_table.
std::vector<Type> infer(const Signature& signature) {
  expect_inputs(signature, 5, 5);
  expect_float(signature, 1, "weight", 2);
  const auto& state = signature.type(0).dims;
  const auto& weight = signature.type(1).dims;
  if (signature.type(0).dtype != DType::kU8 || state.size() != 4 || state[2] != Dim(std::int64_t{0})) {
    reject(signature, describe(signature, 0, "state") + ", not the result of state_append");
  }
  if (weight.size() != 2 || weight[1] != state[3] || weight[0].symbolic() || weight[0].size() < 1) {
    reject(signature, describe(signature, 0, "state") + ", " + describe(signature, 1, "weight") +
                          ": the weight must be [taps, channels]");
  }
  return {{DType::kF32, {signature.type(2).dims[0], state[3]}}};
}

void reference(Call& call) {
  const Tensor& weight = call.in(1);
  const auto& offsets = call.in(3).i32;
  const Tensor& pages = call.in(4);
  const std::int64_t layer = integer(call.attributes, "layer"), taps = weight.rows();
  for (std::size_t row = 0; row + 1 < offsets.size(); ++row) {
    const std::int32_t* table = pages.i32.data() + static_cast<std::int64_t>(row) * pages.last();
    for (std::int64_t t = offsets[row]; t < offsets[row + 1]; ++t) {
      std::vector<double> sums(static_cast<std::size_t>(weight.last()));
      for (std::int64_t j = 0; j < taps; ++j) {
        const std::int64_t p = call.in(2).i32[static_cast<std::size_t>(t)] - (taps - 1) + j;
        if (p < 0) continue;
        const auto it = call.kv.entries.find({layer, table[p / tensor::kPageTokens], p % tensor::kPageTokens});
        TENON_CHECK(it != call.kv.entries.end(), "position " + std::to_string(p) + " was never appended");
        for (std::size_t c = 0; c < sums.size(); ++c) {
          sums[c] += static_cast<double>(weight.row(j)[c]) * it->second.value[c];
        }
      }
      for (std::size_t c = 0; c < sums.size(); ++c) call.out().row(t)[c] = static_cast<float>(sums[c]);
    }
  }
}

}  // namespace

constinit const Op kShortConv{.name = "short_conv", .infer = infer, .reference = reference};

Value short_conv(Value state, Value weight) {
  if (!state || !weight) throw GraphError("short_conv: an input is empty");
  const int maker = state.graph().info(state.id()).node;
  const Node* append = maker < 0 ? nullptr : &state.graph().nodes()[static_cast<std::size_t>(maker)];
  if (append == nullptr || append->op != &kStateAppend) {
    throw GraphError("short_conv: state is " + to_string(state.type()) + ", not the result of state_append");
  }
  std::vector<Value> inputs = {state, weight};
  for (std::size_t i = 1; i < 4; ++i) inputs.emplace_back(&state.graph(), append->inputs[i]);
  return record(kShortConv, inputs, {{"layer", integer(append->attributes, "layer")}});
}

}  // namespace tenon::graph
