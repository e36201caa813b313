#include "graph/ops/rowwise.h"

#include <cstdio>
#include <sstream>

#include "graph/ops.h"
#include "graph/ops/registry.h"

namespace tenon::graph {
namespace {

/// What a chain may consist of, and the attributes that each op has.
struct Link {
  const Op* op;
  std::vector<const char*> attributes;
};

const Link* find_link(std::string_view name) {
  static const std::vector<Link> links = {{&kAdd, {}},
                                          {&kMul, {}},
                                          {&kSilu, {}},
                                          {&kGelu, {}},
                                          {&kGeluTanh, {}},
                                          {&kSigmoid, {}},
                                          {&kTanh, {}},
                                          {&kRelu, {}},
                                          {&kScale, {"s"}},
                                          {&kSoftcap, {"cap"}},
                                          {&kClamp, {"min", "max"}},
                                          {&kLayerNorm, {"eps"}},
                                          {&kRmsNorm, {"eps", "weight_offset"}}};
  for (const Link& link : links) {
    if (name == link.op->name) return &link;
  }
  return nullptr;
}

std::vector<Value> decompose(Graph& graph, const std::vector<Value>& inputs, const Attributes& attributes) {
  Value acc = inputs[0];
  for (const RowInstruction& instruction : row_program(attributes)) {
    const Link* link = find_link(instruction.op);
    TENON_CHECK(link != nullptr && link->attributes.size() == instruction.numbers.size(), instruction.op);
    Attributes own;
    for (std::size_t i = 0; i < link->attributes.size(); ++i) own[link->attributes[i]] = instruction.numbers[i];
    std::vector<Value> in = {acc};
    if (instruction.operand >= 0) in.push_back(inputs[static_cast<std::size_t>(instruction.operand)]);
    acc = graph.record1(*link->op, in, own);
  }
  return {acc};
}

// Every link keeps the type, which is therefore that of the first input.
std::vector<Type> infer(const Signature& signature) {
  expect_inputs(signature, 1, signature.inputs.size());
  expect_float(signature, 0, "x");
  for (const RowInstruction& instruction : row_program(signature.attributes)) {
    const Link* link = find_link(instruction.op);
    if (link == nullptr || instruction.operand >= static_cast<int>(signature.inputs.size())) {
      reject(signature, "no link " + instruction.op);
    }
    Attributes own;
    for (std::size_t i = 0; i < link->attributes.size(); ++i) own[link->attributes[i]] = instruction.numbers[i];
    Signature part{signature.op, signature.scope, {signature.inputs[0]}, own};
    if (instruction.operand >= 0)
      part.inputs.push_back(signature.inputs[static_cast<std::size_t>(instruction.operand)]);
    link->op->infer(part);
  }
  return {signature.type(0)};
}

}  // namespace

std::string to_text(const std::vector<RowInstruction>& program) {
  std::string text;
  for (const RowInstruction& instruction : program) {
    text += (text.empty() ? "" : "; ") + instruction.op;
    if (instruction.operand >= 0) text += " %" + std::to_string(instruction.operand);
    for (double x : instruction.numbers) {
      char shortest[32];
      for (int digits = 6; digits <= 17; ++digits) {
        std::snprintf(shortest, sizeof shortest, " %.*g", digits, x);
        if (std::strtod(shortest, nullptr) == x) break;
      }
      text += shortest;
    }
  }
  return text;
}

std::vector<RowInstruction> row_program(const Attributes& attributes) {
  std::vector<RowInstruction> program;
  std::istringstream text(attribute<std::string>(attributes, "program"));
  for (std::string line; std::getline(text, line, ';');) {
    std::istringstream words(line);
    RowInstruction instruction;
    words >> instruction.op;
    for (std::string word; words >> word;) {
      if (word.front() == '%') {
        instruction.operand = std::stoi(word.substr(1));
      } else {
        instruction.numbers.push_back(std::stod(word));
      }
    }
    program.push_back(std::move(instruction));
  }
  return program;
}

bool is_rowwise(const Node& node) { return find_link(node.op->name) != nullptr; }

RowInstruction row_instruction(const Node& node, int operand) {
  const Link* link = find_link(node.op->name);
  TENON_CHECK(link != nullptr, node.op->name);
  RowInstruction instruction{node.op->name, operand, {}};
  for (const char* name : link->attributes) instruction.numbers.push_back(number(node.attributes, name));
  return instruction;
}

Value rowwise(const std::vector<Value>& inputs, const std::vector<RowInstruction>& program) {
  return record(kRowwise, inputs, {{"program", to_text(program)}});
}

constinit const Op kRowwise{.name = "rowwise", .infer = infer, .decompose = decompose};

}  // namespace tenon::graph
