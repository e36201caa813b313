// The list of ops, by name.
#pragma once

#include <span>
#include <string_view>

#include "graph/ops/op.h"

namespace tenon::graph {

/// Null if there is none of that name.
const Op* find_op(std::string_view name);
std::span<const Op* const> all_ops();

// clang-format off
#define TENON_OPS(X) \
  X(kAdd) X(kAttention) X(kClamp) X(kCombineExperts) X(kConcat) X(kEmbedding) X(kEmbeddingRow) X(kExpertLinear) X(kFusedExpertLinear) \
  X(kFusedLinear) X(kGatherRows) X(kGelu) X(kGeluTanh) X(kHeadLinear) X(kKvAppend) X(kLayerNorm) X(kLinear) X(kMul) X(kPack) X(kPositionTemperature) \
  X(kRelu) X(kReshape) X(kRmsNorm) X(kRmsNormPack) X(kRope) X(kRopeKvAppend) X(kRopeTable) X(kRouteExperts) \
  X(kRowwise) X(kScale) X(kScaleExperts) X(kScaledEmbedding) X(kShortConv) X(kSigmoid) X(kSilu) \
  X(kSlice) X(kSoftcap) X(kStateAppend) X(kTanh)
// clang-format on

#define TENON_DECLARE_OP(op) extern const Op op;
TENON_OPS(TENON_DECLARE_OP)
#undef TENON_DECLARE_OP

}  // namespace tenon::graph
