// A chain of ops on the last dim, done row by row while the row is in cache.
#pragma once

#include <string>
#include <vector>

#include "graph/ops/op.h"

namespace tenon::graph {

/// One link of the chain: acc = op(acc), or op(acc, operand).
struct RowInstruction {
  std::string op;               ///< a unary or binary elementwise op, or a norm
  int operand = -1;             ///< which input of the rowwise node is its second input, or -1
  std::vector<double> numbers;  ///< its attributes: scale {s}, softcap {cap}, clamp {min, max},
                                ///< layer_norm {eps}, rms_norm {eps, weight_offset}
};

/// "rms_norm %1 1e-06 1; add %2; silu": as the node's attribute "program".
std::string to_text(const std::vector<RowInstruction>& program);
std::vector<RowInstruction> row_program(const Attributes& attributes);

/// The instruction that does what `node` does, with `operand` as its second input; none if it cannot be in a chain.
/// The chain runs through the node's first input; for add and mul of equal shapes through either.
bool is_rowwise(const Node& node);
RowInstruction row_instruction(const Node& node, int operand);

/// inputs[0] is where the chain begins; instructions refer to inputs by index.
Value rowwise(const std::vector<Value>& inputs, const std::vector<RowInstruction>& program);

}  // namespace tenon::graph
