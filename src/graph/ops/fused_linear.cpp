#include "graph/ops/fused_linear.h"

#include <array>
#include <string_view>

#include "graph/ops.h"
#include "graph/ops/registry.h"

namespace tenon::graph {
namespace {

constexpr std::array kEpilogues = {"store", "add", "silu_mul", "gelu_tanh_mul"};

bool gated(LinearEpilogue epilogue) {
  return epilogue == LinearEpilogue::kSiluMul || epilogue == LinearEpilogue::kGeluTanhMul;
}

std::vector<Type> infer(const Signature& signature) {
  const auto parts = linear_parts(signature.inputs, signature.attributes);
  const auto part = [&](const char* op, std::vector<const ValueInfo*> inputs) {
    return Signature{op, signature.scope, std::move(inputs), signature.attributes};
  };
  std::int64_t columns = 0;
  for (std::size_t i = 0; i < parts.weights.size(); ++i) {
    const Type y = kLinear.infer(part(signature.op, {parts.x, parts.weights[i]})).front();
    columns += y.dims.back().size();
    if (!parts.biases.empty() && parts.biases[i]->type.dims != std::vector<Dim>{y.dims.back()}) {
      reject(signature, "bias " + parts.biases[i]->name + " is " + to_string(parts.biases[i]->type) +
                            ", and the result " + to_string(y));
    }
  }
  if (gated(parts.epilogue)) {
    if (parts.weights.size() != 2 || !parts.biases.empty() || parts.weights[0]->type != parts.weights[1]->type) {
      reject(signature, "a gated epilogue takes two weights of one shape and no bias");
    }
    columns /= 2;
  }
  Type y = with_last_dim(parts.x->type, columns);
  if (parts.residual && (*parts.residual)->type != y) {
    reject(signature, "the residual is " + to_string((*parts.residual)->type) + " and the result " + to_string(y));
  }
  return {y};
}

std::vector<Value> decompose(Graph&, const std::vector<Value>& inputs, const Attributes& attributes) {
  const auto parts = linear_parts(inputs, attributes);
  if (gated(parts.epilogue)) {
    const Value gate = linear(parts.x, parts.weights[0]), up = linear(parts.x, parts.weights[1]);
    return {(parts.epilogue == LinearEpilogue::kSiluMul ? silu(gate) : gelu_tanh(gate)) * up};
  }
  std::vector<Value> columns;
  for (std::size_t i = 0; i < parts.weights.size(); ++i) {
    const Value y = linear(parts.x, parts.weights[i]);
    columns.push_back(parts.biases.empty() ? y : y + parts.biases[i]);
  }
  const Value y = columns.size() == 1 ? columns.front() : concat(columns);
  return {parts.residual ? *parts.residual + y : y};
}

}  // namespace

const char* to_string(LinearEpilogue epilogue) { return kEpilogues[static_cast<std::size_t>(epilogue)]; }

LinearEpilogue linear_epilogue(const Attributes& attributes) {
  const std::string_view name = attribute<std::string>(attributes, "epilogue");
  for (std::size_t i = 0; i < kEpilogues.size(); ++i) {
    if (name == kEpilogues[i]) return static_cast<LinearEpilogue>(i);
  }
  TENON_CHECK(false, "epilogue " + std::string(name));
  return LinearEpilogue::kStore;
}

constinit const Op kFusedLinear{.name = "fused_linear", .infer = infer, .decompose = decompose};

Value fused_linear(const LinearParts<Value>& parts) {
  std::vector<Value> inputs = {parts.x};
  inputs.insert(inputs.end(), parts.weights.begin(), parts.weights.end());
  inputs.insert(inputs.end(), parts.biases.begin(), parts.biases.end());
  if (parts.residual) inputs.push_back(*parts.residual);
  return record(kFusedLinear, inputs,
                {{"weights", static_cast<std::int64_t>(parts.weights.size())},
                 {"bias", std::int64_t{!parts.biases.empty()}},
                 {"epilogue", std::string(to_string(parts.epilogue))}});
}

}  // namespace tenon::graph
