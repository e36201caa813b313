#include "graph/graph.h"

#include <algorithm>

#include "graph/ops.h"
#include "graph/ops/op.h"

namespace tenon::graph {

std::string to_string(const Dim& dim) { return dim.symbolic() ? dim.name() : std::to_string(dim.size()); }

std::string to_string(const Type& type) {
  std::string text = tensor::name(type.dtype);
  std::ranges::transform(text, text.begin(), [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  text += '[';
  for (std::size_t i = 0; i < type.dims.size(); ++i) text += (i == 0 ? "" : ", ") + to_string(type.dims[i]);
  return text + ']';
}

const Type& Value::type() const { return graph_->info(id_).type; }

const Dim& Value::dim(int i) const {
  const auto& dims = type().dims;
  const int index = i < 0 ? i + static_cast<int>(dims.size()) : i;
  if (index < 0 || index >= static_cast<int>(dims.size())) {
    throw GraphError("dim " + std::to_string(i) + " of a value of type " + to_string(type()));
  }
  return dims[static_cast<std::size_t>(index)];
}

Value operator+(Value a, Value b) { return add(a, b); }
Value operator*(Value a, Value b) { return mul(a, b); }
Value operator*(Value a, double s) { return scale(a, s); }

Value Graph::input(std::string name, Type type) {
  for (std::size_t i = 0; i < values_.size(); ++i) {
    if (values_[i].source != Source::kInput || values_[i].name != name) continue;
    if (values_[i].type != type) {
      throw GraphError("input " + name + " is declared as " + to_string(values_[i].type) + " and as " +
                       to_string(type));
    }
    return {this, static_cast<int>(i)};
  }
  values_.push_back({.type = std::move(type), .source = Source::kInput, .name = std::move(name)});
  return {this, static_cast<int>(values_.size()) - 1};
}

Value Graph::weight(const std::string& name, std::vector<Dim> shape, WeightUse use) {
  Type type{DType::kF32, std::move(shape)};
  for (const Dim& dim : type.dims) {
    if (dim.symbolic() || dim.size() <= 0) throw GraphError("weight " + name + " has the shape " + to_string(type));
  }
  for (auto& request : weights_) {
    if (request.name != name) continue;
    if (request.type != type) {
      throw GraphError("weight " + name + " is used as " + to_string(request.type) + " and as " + to_string(type));
    }
    if (std::ranges::find(request.uses, use) == request.uses.end()) request.uses.push_back(use);
    return {this, request.value};
  }
  const int value = static_cast<int>(values_.size());
  values_.push_back({.type = type, .source = Source::kWeight, .name = name});
  weights_.push_back({.name = name, .type = std::move(type), .uses = {use}, .value = value});
  return {this, value};
}

Value Graph::constant(std::vector<float> data, std::vector<Dim> shape) {
  std::int64_t elements = 1;
  for (const Dim& dim : shape) elements *= dim.symbolic() ? -1 : dim.size();
  Type type{DType::kF32, std::move(shape)};
  if (elements != static_cast<std::int64_t>(data.size())) {
    throw GraphError("a constant of " + std::to_string(data.size()) + " elements cannot be " + to_string(type));
  }
  values_.push_back({.type = std::move(type), .source = Source::kConstant, .constant = std::move(data)});
  return {this, static_cast<int>(values_.size()) - 1};
}

std::vector<Value> Graph::record(const Op& op, const std::vector<Value>& inputs, Attributes attributes) {
  Signature signature{op.name, scopes_.empty() ? std::string() : scopes_.back(), {}, attributes};
  Node node{&op, {}, {}, {}, signature.scope};
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    if (!inputs[i]) reject(signature, "input " + std::to_string(i) + " is empty");
    if (&inputs[i].graph() != this) reject(signature, "input " + std::to_string(i) + " belongs to another graph");
    node.inputs.push_back(inputs[i].id());
    signature.inputs.push_back(&info(inputs[i].id()));
  }
  std::vector<Type> types = op.infer(signature);
  std::vector<Value> outputs;
  for (Type& type : types) {
    const int value = static_cast<int>(values_.size());
    values_.push_back({.type = std::move(type), .source = Source::kNode, .node = static_cast<int>(nodes_.size())});
    node.outputs.push_back(value);
    outputs.emplace_back(this, value);
  }
  node.attributes = std::move(attributes);
  nodes_.push_back(std::move(node));
  return outputs;
}

Value Graph::record1(const Op& op, const std::vector<Value>& inputs, Attributes attributes) {
  return record(op, inputs, std::move(attributes)).front();
}

void Graph::output(std::string name, Value value) {
  if (!value || &value.graph() != this) throw GraphError("output " + name + " is not a value of this graph");
  outputs_.emplace_back(std::move(name), value.id());
}

void Graph::tap(std::string name, Value value) {
  if (!value || &value.graph() != this) throw GraphError("tap " + name + " is not a value of this graph");
  taps_.emplace_back(std::move(name), value.id());
}

}  // namespace tenon::graph
