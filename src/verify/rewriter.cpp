#include "verify/rewriter.h"

#include <cctype>

#include "graph/ops/op.h"

namespace tenon::verify {

using graph::Graph;
using graph::Node;
using graph::Value;

std::string layer_of(const std::string& name) {
  for (std::size_t dot = name.find('.'); dot != std::string::npos; dot = name.find('.', dot + 1)) {
    std::size_t end = dot + 1;
    while (end < name.size() && std::isdigit(static_cast<unsigned char>(name[end]))) ++end;
    if (end > dot + 1 && (end == name.size() || name[end] == '.')) return name.substr(0, end);
  }
  return "";
}

Rewriter::Rewriter(const Graph& from, const Change& change)
    : from_(from), change_(change), to_(std::make_unique<Graph>()), map_(from.values().size(), -1) {}

const Node* Rewriter::maker(int old) const {
  const int index = from_.info(old).node;
  return index < 0 ? nullptr : &node(index);
}

Value Rewriter::value(int old) {
  int& mapped = map_[static_cast<std::size_t>(old)];
  if (mapped >= 0) return {to_.get(), mapped};
  const graph::ValueInfo& info = from_.info(old);
  switch (info.source) {
    case graph::Source::kInput:
      mapped = to_->input(info.name, info.type).id();
      break;
    case graph::Source::kConstant:
      mapped = to_->constant(info.constant, info.type.dims).id();
      break;
    case graph::Source::kWeight: {
      std::string name = info.name;
      const std::string layer = layer_of(name);
      if (change_.weight && (layer_ == nullptr || *layer_ == layer)) {
        const std::string suffix = layer.empty() ? name : name.substr(layer.size() + 1);
        const std::string other = change_.weight(layer, suffix);
        if (other != suffix) name = layer.empty() ? other : layer + "." + other;
      }
      mapped = weight(name, info.type.dims).id();
      break;
    }
    case graph::Source::kNode:
      throw graph::GraphError("a value is used before it is made");
  }
  return {to_.get(), mapped};
}

Value Rewriter::weight(const std::string& name, std::vector<graph::Dim> shape) {
  const auto use = shape.size() == 1 ? graph::WeightUse::kVector : graph::WeightUse::kMatmul;
  return to_->weight(name, std::move(shape), use);
}

Value Rewriter::copy(int index) { return copy_with(index, node(index).attributes); }

Value Rewriter::copy_with(int index, graph::Attributes attributes) {
  const Node& old = node(index);
  std::vector<Value> inputs;
  for (const int input : old.inputs) inputs.push_back(value(input));
  const std::vector<Value> outputs = to_->record(*old.op, inputs, std::move(attributes));
  for (std::size_t i = 0; i < outputs.size(); ++i) set(old.outputs[i], outputs[i]);
  return outputs.front();
}

std::unique_ptr<Graph> rewrite(const Graph& graph, const Change& change, const std::string* layer) {
  Rewriter to(graph, change);
  to.layer_ = layer;
  for (std::size_t i = 0; i < graph.nodes().size(); ++i) {
    const Node& node = graph.nodes()[i];
    const bool here = layer == nullptr || layer_of(node.scope) == *layer;
    to.graph().push_scope(node.scope);
    if (!here || !change.node || !change.node(to, static_cast<int>(i))) to.copy(static_cast<int>(i));
    to.graph().pop_scope();
  }
  for (const auto& [name, value] : graph.outputs()) to.graph().output(name, to.value(value));
  for (const auto& [name, value] : graph.taps()) to.graph().tap(name, to.value(value));
  return std::move(to.to_);
}

}  // namespace tenon::verify
