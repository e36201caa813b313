// What depends on positions or on earlier tokens: the temperature of a position, and states in the paged cache with the
// convolution over them.
#include "runtime/steps/sequence.h"
#include "compiler/lowering/lowerer.h"
#include "graph/ops/registry.h"
#include "runtime/steps/attention.h"

namespace tenon::compiler {
namespace {

using Packed = std::vector<PackedOperand>;

}  // namespace

void Lowerer::lower_position_temperature(const Node& node) {
  expect_input(node.inputs[1], "positions");
  const View x = view(node.inputs[0]), y = result_over(node.inputs[0]);
  const double floor_scale = graph::number(node.attributes, "floor_scale");
  const double strength = graph::number(node.attributes, "strength");
  emit_rows(Rows::kTokens, {read(x), write(y)}, [=, scope = node.scope](const Placement& at, const Packed&) {
    return std::make_unique<runtime::PositionTemperatureStep>(
        scope, runtime::PositionTemperatureStep::Data{at(x), at(y), x.columns, floor_scale, strength});
  });
  set(node.outputs[0], y);
}

// The kernel that stores keys and values does it: a layer of states has values of one head, and keys of no dims.
void Lowerer::lower_state_append(const Node& node) {
  expect_input(node.inputs[1], "positions");
  expect_input(node.inputs[2], "row_offsets");
  expect_input(node.inputs[3], "page_table");
  check_layer(node, type(node.outputs[0]));
  const std::int64_t layer = graph::integer(node.attributes, "layer");
  const View x = view(node.inputs[0]);
  const Access cache{.storage = cache_storage(layer), .begin = 0, .end = 1, .write = true};
  emit_rows(Rows::kTokens, {read(x), cache}, [=, scope = node.scope](const Placement& at, const Packed&) {
    return std::make_unique<runtime::KvAppendStep>(
        scope,
        runtime::KvAppendStep::Data{.layer = static_cast<int>(layer), .k = at(x), .v = at(x), .rope = std::nullopt});
  });
}

void Lowerer::lower_short_conv(const Node& node) {
  const graph::Type& weight = type(node.inputs[1]);
  const std::int64_t layer = graph::integer(node.attributes, "layer");
  const View y = new_view(Rows::kTokens, columns(node.outputs[0]));
  runtime::ShortConvStep::Data data{.layer = static_cast<int>(layer),
                                    .out = {},
                                    .channels = y.columns,
                                    .taps = weight.dims[0].size(),
                                    .weight = vector({node.inputs[1]})};
  const Access cache{.storage = cache_storage(layer), .begin = 0, .end = 1, .own_rows = false};
  emit_rows(Rows::kTokens, {cache, write(y)}, [=, scope = node.scope](const Placement& at, const Packed&) {
    runtime::ShortConvStep::Data placed = data;
    placed.out = at(y);
    return std::make_unique<runtime::ShortConvStep>(scope, placed);
  });
  set(node.outputs[0], y);
}

}  // namespace tenon::compiler
