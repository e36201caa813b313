// The text IR:
//   %3: f32[total_tokens, 64] = rms_norm(%2, @model.norm.weight) {eps=1e-06, weight_offset=0}  ; model.norm
// Node values are numbered in order; $name is an input, @name a weight, #n[..] a constant.
#include <cstdio>
#include <map>
#include <sstream>

#include "graph/graph.h"
#include "graph/ops/op.h"

namespace tenon::graph {
namespace {

std::string format(double x) {
  char text[32];
  std::snprintf(text, sizeof text, "%.9g", x);
  return text;
}

template <class T>
std::string format_list(const std::vector<T>& items) {
  constexpr std::size_t kShown = 8;  // rope frequencies are long, and the first ones tell them apart
  std::string text = "[";
  for (std::size_t i = 0; i < items.size() && i < kShown; ++i) {
    text += (i == 0 ? "" : ", ") + format(static_cast<double>(items[i]));
  }
  return text + (items.size() > kShown ? ", … " + std::to_string(items.size()) + "]" : "]");
}

struct AttributeText {
  std::string operator()(std::int64_t x) const { return std::to_string(x); }
  std::string operator()(double x) const { return format(x); }
  std::string operator()(const std::string& x) const { return x; }
  std::string operator()(const std::vector<std::int64_t>& x) const { return format_list(x); }
  std::string operator()(const std::vector<double>& x) const { return format_list(x); }
};

}  // namespace

std::string to_text(const Graph& graph) {
  std::map<int, int> numbers;
  const auto name_of = [&](int value) -> std::string {
    const ValueInfo& info = graph.info(value);
    switch (info.source) {
      case Source::kInput:
        return "$" + info.name;
      case Source::kWeight:
        return "@" + info.name;
      case Source::kConstant:
        return std::string(1, '#').append(format_list(info.constant));
      case Source::kNode:
        break;
    }
    const int number = numbers.try_emplace(value, static_cast<int>(numbers.size())).first->second;
    return std::string(1, '%').append(std::to_string(number));
  };
  std::ostringstream text;
  for (const Node& node : graph.nodes()) {
    std::string arguments, results;
    for (int value : node.inputs) arguments += (arguments.empty() ? "" : ", ") + name_of(value);
    for (int value : node.outputs) {
      results += (results.empty() ? "" : ", ") + name_of(value) + ": " + to_string(graph.info(value).type);
    }
    text << results << " = " << node.op->name << '(' << arguments << ')';
    const char* separator = " {";
    for (const auto& [name, attribute] : node.attributes) {
      text << separator << name << '=' << std::visit(AttributeText{}, attribute);
      separator = ", ";
    }
    if (!node.attributes.empty()) text << '}';
    if (!node.scope.empty()) text << "  ; " << node.scope;
    text << '\n';
  }
  for (const auto& [name, value] : graph.taps()) text << "tap " << name << " = " << name_of(value) << '\n';
  for (const auto& [name, value] : graph.outputs()) text << "output " << name << " = " << name_of(value) << '\n';
  return text.str();
}

}  // namespace tenon::graph
