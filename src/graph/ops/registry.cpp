#include "graph/ops/registry.h"

#include <array>

namespace tenon::graph {

std::span<const Op* const> all_ops() {
#define TENON_OP_ADDRESS(op) &op,
  static constexpr std::array ops{TENON_OPS(TENON_OP_ADDRESS)};
#undef TENON_OP_ADDRESS
  return ops;
}

const Op* find_op(std::string_view name) {
  for (const Op* op : all_ops()) {
    if (name == op->name) return op;
  }
  return nullptr;
}

}  // namespace tenon::graph
