// How a mixture of experts becomes steps. The pairs (token, choice) are sorted by expert once; the rows of every value
// [T, top_k, n] lie in that order, so that each expert's matmuls run over rows that follow one another. Elementwise ops
// need not know; combine_experts takes the rows back to their tokens.
#include "compiler/lowering/lowerer.h"
#include "graph/ops/fused_linear.h"
#include "graph/ops/registry.h"
#include "graph/ops/router.h"
#include "graph/ops/rowwise.h"

namespace tenon::compiler {
namespace {

using Packed = std::vector<PackedOperand>;

}  // namespace

void Lowerer::check_grouped(const Node& node) {
  int ids = -1;
  for (int value : node.inputs) {
    if (const auto it = grouped_.find(value); it != grouped_.end()) ids = it->second;
  }
  if (ids < 0 || node.op == &graph::kExpertLinear || node.op == &graph::kFusedExpertLinear ||
      node.op == &graph::kCombineExperts || node.op == &graph::kScaleExperts) {
    return;
  }
  for (int value : node.inputs) {
    const auto it = grouped_.find(value);
    const bool same = it != grouped_.end() && it->second == ids;
    if ((node.op != &graph::kRowwise && !graph::is_rowwise(node)) || (!same && !is_vector(value))) {
      reject("its rows lie sorted by expert, and only elementwise ops among such values are possible");
    }
  }
  for (int value : node.outputs) grouped_[value] = ids;
}

void Lowerer::lower_route_experts(const Node& node) {
  using runtime::RouteExpertsStep;
  const graph::RouterOptions options = graph::router_options(node.attributes);
  const View logits = view(node.inputs[0]);
  const View ids = new_view(logits.rows, options.top_k), weights = new_view(logits.rows, options.top_k);
  RouteExpertsStep::Data data{.experts = static_cast<int>(logits.columns),
                              .top_k = options.top_k,
                              .scoring = static_cast<RouteExpertsStep::Scoring>(options.scoring),
                              .normalize = options.normalize,
                              .sum_of_two = options.group_score == graph::GroupScore::kSumOfTwo,
                              .epsilon = static_cast<float>(options.epsilon),
                              .scale = static_cast<float>(options.scale),
                              .n_group = options.n_group,
                              .topk_group = options.topk_group};
  if (node.inputs.size() == 2) data.correction_bias = vector({node.inputs[1]});
  emit_rows(logits.rows, {read(logits), write(ids), write(weights)},
            [=, scope = node.scope](const Placement& at, const Packed&) {
              RouteExpertsStep::Data placed = data;
              placed.logits = at(logits), placed.ids = at(ids), placed.weights = at(weights);
              return std::make_unique<RouteExpertsStep>(scope, logits.rows, placed);
            });
  set(node.outputs[0], ids);
  set(node.outputs[1], weights);
}

const ExpertGrouping& Lowerer::grouping(int ids) {
  const auto [it, is_new] = groupings_.try_emplace(ids);
  ExpertGrouping& grouping = it->second;
  if (!is_new) return grouping;
  const int maker = graph_.info(ids).node;
  const Node* router = maker < 0 ? nullptr : &graph_.nodes()[static_cast<std::size_t>(maker)];
  if (router == nullptr || router->op != &graph::kRouteExperts) reject("its ids are not those of a router");
  const View from = view(ids);
  if (from.rows != Rows::kTokens) reject("experts of sampled rows only");
  grouping.place = {.experts = type(router->inputs[0]).dims.back().size(), .top_k = from.columns};
  const std::int64_t bytes =
      runtime::GroupingPlace::bytes(grouping.place.experts, from.columns, options_.limits.max_total_tokens);
  grouping.view = {.storage = add_storage(bytes), .rows = Rows::kTokens, .columns = 1, .stride = 1};
  emit_items(
      {read(from, false), write(grouping.view, false)},
      [from, place = grouping.place, to = grouping.view, scope = node_->scope](const Placement& at, const Packed&) {
        runtime::GroupingPlace placed = place;
        placed.offset = at(to).offset;
        return std::make_unique<runtime::GroupByExpertStep>(scope, at(from), placed);
      });
  return grouping;
}

const ExpertOperand& Lowerer::expert_operand(int x, int ids, tensor::DType dtype) {
  const auto [it, is_new] = expert_operands_.try_emplace({x, ids, dtype});
  ExpertOperand& operand = it->second;
  if (!is_new) return operand;
  const ExpertGrouping group = grouping(ids);
  const bool gather = type(x).dims.size() == 2;
  View from = view(x);
  if (!gather) {
    const auto sorted = grouped_.find(x);
    if (sorted == grouped_.end() || sorted->second != ids) reject("the rows of x are not those of the chosen experts");
    if (from.stride != from.columns) reject("the rows of x do not follow one another");
  }
  const std::int64_t most = options_.limits.max_total_tokens, k = type(x).dims.back().size();
  operand.place = {.weight_dtype = dtype,
                   .k = k,
                   .row_bytes = runtime::ExpertOperandPlace::most_row_bytes(kernels::kernels(), dtype, k, most)};
  operand.view = {.storage = add_storage(most * group.place.top_k * operand.place.row_bytes),
                  .rows = Rows::kTokens,
                  .columns = 1,
                  .stride = 1};
  emit_items({read(from, false), read(group.view, false), write(operand.view, false)},
             [=, to = operand, scope = node_->scope](const Placement& at, const Packed&) {
               runtime::PackExpertsStep::Data data{
                   .x = at(from), .gather = gather, .grouping = group.place, .out = to.place};
               if (!gather) data.x.stride = k;
               data.grouping.offset = at(group.view).offset;
               data.out.offset = at(to.view).offset;
               return std::make_unique<runtime::PackExpertsStep>(scope, data);
             });
  return operand;
}

void Lowerer::lower_expert_linear(const Node& node) {
  const bool gated = node.op == &graph::kFusedExpertLinear;
  std::vector<int> weights = {node.inputs[2]};
  if (gated) weights.push_back(node.inputs[3]);
  const int ids = node.inputs[1];
  runtime::ExpertMatmulStep::Data data{.weight = matrix(weights, gated)};
  if (!gated && node.inputs.size() == 4) data.bias = vector({node.inputs[3]});
  if (gated) data.epilogue = static_cast<kernels::Epilogue>(graph::linear_epilogue(node.attributes));
  const ExpertOperand x = expert_operand(node.inputs[0], ids, data.weight.dtype);
  const ExpertGrouping group = grouping(ids);
  if (type(weights[0]).dims[0].size() != group.place.experts) reject("the router chooses among other experts");
  const View y = new_view(Rows::kTokens, columns(node.outputs[0]));
  const double pairs = static_cast<double>(group.place.top_k);
  out_.streamed_bytes += data.weight.bytes() * group.place.top_k;  // of a step with one token
  out_.flops_per_token += 2.0 * pairs * static_cast<double>(data.weight.n) * static_cast<double>(data.weight.k);
  emit_items({read(x.view, false), read(group.view, false), write(y, false)},
             [=, scope = node.scope](const Placement& at, const Packed&) {
               runtime::ExpertMatmulStep::Data placed = data;
               placed.x = x.place, placed.grouping = group.place;
               placed.x.offset = at(x.view).offset;
               placed.grouping.offset = at(group.view).offset;
               placed.out = at(y);
               placed.out.stride = y.columns / group.place.top_k;
               return std::make_unique<runtime::ExpertMatmulStep>(scope, placed);
             });
  set(node.outputs[0], y);
  grouped_[node.outputs[0]] = ids;
}

void Lowerer::lower_scale_experts(const Node& node) {
  const auto sorted = grouped_.find(node.inputs[0]);
  if (sorted == grouped_.end()) reject("its first operand is not what experts made");
  const int ids = sorted->second;
  const ExpertGrouping group = grouping(ids);
  const View y = view(node.inputs[0]), weights = view(node.inputs[1]);
  const View out = new_view(Rows::kTokens, columns(node.outputs[0]));
  emit_rows(Rows::kTokens, {read(y, false), read(weights), read(group.view, false), write(out, false)},
            [=, scope = node.scope](const Placement& at, const Packed&) {
              runtime::ScaleExpertsStep::Data data{.y = at(y),
                                                   .weights = at(weights),
                                                   .out = at(out),
                                                   .grouping = group.place,
                                                   .columns = out.columns / group.place.top_k};
              data.y.stride = data.out.stride = data.columns;
              data.grouping.offset = at(group.view).offset;
              return std::make_unique<runtime::ScaleExpertsStep>(scope, data);
            });
  set(node.outputs[0], out);
  grouped_[node.outputs[0]] = ids;
}

void Lowerer::lower_combine_experts(const Node& node) {
  const auto sorted = grouped_.find(node.inputs[0]);
  if (sorted == grouped_.end()) reject("its first operand is not what experts made");
  const ExpertGrouping group = grouping(sorted->second);
  const View y = view(node.inputs[0]);
  std::optional<View> weights;
  if (node.inputs.size() == 2) weights = view(node.inputs[1]);
  const View out = new_view(Rows::kTokens, columns(node.outputs[0]));
  std::vector<Access> accesses = {read(y, false), read(group.view, false), write(out)};
  if (weights) accesses.push_back(read(*weights));
  emit_rows(Rows::kTokens, accesses, [=, scope = node.scope](const Placement& at, const Packed&) {
    std::optional<runtime::Place> placed;
    if (weights) placed = at(*weights);
    runtime::CombineExpertsStep::Data data{
        .y = at(y), .weights = placed, .out = at(out), .grouping = group.place, .columns = out.columns};
    data.y.stride = out.columns;
    data.grouping.offset = at(group.view).offset;
    return std::make_unique<runtime::CombineExpertsStep>(scope, data);
  });
  set(node.outputs[0], out);
}

}  // namespace tenon::compiler
