#pragma once

#include "graph/ops/op.h"

namespace tenon::graph {

/// What an embedding adds to its ids.
std::int64_t embedding_offset(const Attributes& attributes);

}  // namespace tenon::graph
