#include "graph/copier.h"

#include "base/check.h"
#include "graph/ops/op.h"

namespace tenon::graph {
namespace {

std::vector<bool> live_nodes(const Graph& graph) {
  std::vector<bool> needed(graph.values().size()), live(graph.nodes().size());
  for (const auto& [name, value] : graph.outputs()) needed[static_cast<std::size_t>(value)] = true;
  for (const auto& [name, value] : graph.taps()) needed[static_cast<std::size_t>(value)] = true;
  for (std::size_t i = graph.nodes().size(); i-- > 0;) {
    const Node& node = graph.nodes()[i];
    for (int value : node.outputs) live[i] = live[i] || needed[static_cast<std::size_t>(value)];
    if (!live[i]) continue;
    for (int value : node.inputs) needed[static_cast<std::size_t>(value)] = true;
  }
  return live;
}

}  // namespace

Copier::Copier(const Graph& from, bool keep_taps)
    : from_(from), keep_taps_(keep_taps), to_(std::make_unique<Graph>()), map_(from.values().size(), -1) {}

Value Copier::value(int old) {
  int& mapped = map_[static_cast<std::size_t>(old)];
  if (mapped < 0) {
    const ValueInfo& info = from_.info(old);
    TENON_CHECK(info.source != Source::kNode, "a value is used before it was copied");
    switch (info.source) {
      case Source::kInput:
        mapped = to_->input(info.name, info.type).id();
        break;
      case Source::kConstant:
        mapped = to_->constant(info.constant, info.type.dims).id();
        break;
      default:
        for (const auto& request : from_.weights()) {
          if (request.value != old) continue;
          for (WeightUse use : request.uses) mapped = to_->weight(info.name, info.type.dims, use).id();
        }
    }
  }
  return {to_.get(), mapped};
}

std::vector<Value> Copier::values(const std::vector<int>& old) {
  std::vector<Value> result;
  for (int id : old) result.push_back(value(id));
  return result;
}

void Copier::replace(int old, Value value) {
  TENON_CHECK(value.type() == from_.info(old).type, "a pass changes a type to " + to_string(value.type()));
  map_[static_cast<std::size_t>(old)] = value.id();
}

void Copier::copy(const Node& node) {
  to_->push_scope(node.scope);
  const std::vector<Value> outputs = to_->record(*node.op, values(node.inputs), node.attributes);
  to_->pop_scope();
  for (std::size_t i = 0; i < outputs.size(); ++i) replace(node.outputs[i], outputs[i]);
}

Value Copier::record(const Op& op, const std::vector<Value>& inputs, Attributes attributes, const Node& in_scope_of) {
  to_->push_scope(in_scope_of.scope);
  const Value result = to_->record1(op, inputs, std::move(attributes));
  to_->pop_scope();
  return result;
}

std::unique_ptr<Graph> Copier::finish() {
  for (const auto& [name, old] : from_.outputs()) to_->output(name, value(old));
  if (keep_taps_) {
    for (const auto& [name, old] : from_.taps()) to_->tap(name, value(old));
  }
  for (bool live : live_nodes(*to_)) {
    if (!live) return without_dead_nodes(*to_);
  }
  return std::move(to_);
}

std::unique_ptr<Graph> without_dead_nodes(const Graph& graph) {
  Copier copier(graph);
  const std::vector<bool> live = live_nodes(graph);
  for (std::size_t i = 0; i < live.size(); ++i) {
    if (live[i]) copier.copy(graph.nodes()[i]);
  }
  return copier.finish();
}

std::unique_ptr<Graph> decompose(const Graph& graph) {
  Copier copier(graph);
  for (const Node& node : graph.nodes()) {
    if (node.op->decompose == nullptr) {
      copier.copy(node);
      continue;
    }
    copier.graph().push_scope(node.scope);
    const std::vector<Value> outputs = node.op->decompose(copier.graph(), copier.values(node.inputs), node.attributes);
    copier.graph().pop_scope();
    for (std::size_t i = 0; i < outputs.size(); ++i) copier.replace(node.outputs[i], outputs[i]);
  }
  return copier.finish();
}

std::vector<int> count_uses(const Graph& graph) {
  std::vector<int> uses(graph.values().size());
  for (const Node& node : graph.nodes()) {
    for (int value : node.inputs) ++uses[static_cast<std::size_t>(value)];
  }
  for (const auto& [name, value] : graph.outputs()) ++uses[static_cast<std::size_t>(value)];
  for (const auto& [name, value] : graph.taps()) ++uses[static_cast<std::size_t>(value)];
  return uses;
}

}  // namespace tenon::graph
