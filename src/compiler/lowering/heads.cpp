// How a linear layer a head becomes steps: each head's rows are packed as the left operand of its own matmul.
#include <algorithm>

#include "compiler/lowering/lowerer.h"
#include "graph/ops/registry.h"
#include "runtime/steps/heads.h"

namespace tenon::compiler {

void Lowerer::lower_head_linear(const Node& node) {
  const View x = view(node.inputs[0]);
  if (x.rows != Rows::kTokens) reject("heads of sampled rows only");
  const auto& heads = type(node.inputs[1]).dims[0];
  const runtime::MatrixPlace weight = matrix({node.inputs[1]}, false);
  const runtime::HeadOperandPlace place{.weight_dtype = weight.dtype, .k = weight.k, .heads = heads.size()};
  std::int64_t bytes = 0;
  for (int m = 1; m <= options_.limits.max_total_tokens; ++m) {
    const auto layout = kernels::kernels().activation_layout(weight.dtype, m, weight.k);
    bytes = std::max(bytes, runtime::HeadOperandPlace::head_bytes(layout));
  }
  const View packed{
      .storage = add_storage(heads.size() * bytes), .rows = Rows::kTokens, .begin = 0, .columns = 1, .stride = 1};
  emit_items({read(x, false), write(packed, false)},
             [=, scope = node.scope](const Placement& at, const std::vector<PackedOperand>&) {
               runtime::HeadOperandPlace placed = place;
               placed.offset = at(packed).offset;
               return std::make_unique<runtime::PackHeadsStep>(scope, at(x), placed);
             });
  const View y = new_view(Rows::kTokens, columns(node.outputs[0]));
  out_.streamed_bytes += heads.size() * weight.bytes();
  out_.flops_per_token += 2.0 * static_cast<double>(heads.size() * weight.n) * static_cast<double>(weight.k);
  emit_items({read(packed, false), write(y, false)},
             [=, scope = node.scope](const Placement& at, const std::vector<PackedOperand>&) {
               runtime::HeadMatmulStep::Data data{.weight = weight, .x = place, .out = at(y)};
               data.x.offset = at(packed).offset;
               return std::make_unique<runtime::HeadMatmulStep>(scope, data);
             });
  set(node.outputs[0], y);
}

}  // namespace tenon::compiler
