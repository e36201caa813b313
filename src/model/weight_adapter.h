// Names of a checkpoint's tensors and ours, as a table.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "tensor/row_view.h"
#include "tensor/shape.h"

namespace tenon::model {

/// What is done to a tensor between the file and us.
struct Transform {
  enum class Kind : std::uint8_t {
    kNone,
    kUnpermuteRope,  ///< rows of each head from rope pairs (2i, 2i+1) to (i, i + head_dim/2): GGUF's llama q and k
    kByHead,   ///< rows of `part` matrices on one another [part * heads * head_dim, k] → head by head: those of each in
               ///< turn
    kFlatten,  ///< [heads, head_dim] → [heads * head_dim]: a vector for each head as one
    kAdd,      ///< a vector plus `constant`, as float32: GGUF's Gemma norms hold 1 + w
    // Tensors that hold two matrices of every expert; `part` 0 or 1 is taken.
    kHalf,                ///< [experts, 2 n, k] → [experts, n, k]: the first or the second n rows
    kAlternate,           ///< the same, rows 2i + part
    kTranspose,           ///< [experts, k, n] → [experts, n, k], copied
    kTransposeHalf,       ///< [experts, k, 2 n] → [experts, n, k], copied: the first or the second n columns
    kTransposeAlternate,  ///< the same, columns 2i + part
    // MXFP4 (OCP Microscaling v1.0): blocks [experts, n, k/32, 16] of 4-bit codes beside scales [experts, n, k/32],
    // whose name ends in _scales instead of _blocks.
    kMxfp4,             ///< → [experts, n, k]
    kMxfp4Alternate,    ///< [experts, 2 n, k/32, 16] → [experts, n, k]: rows 2i + part
    kAlternateColumns,  ///< [experts, 2 n] → [experts, n] as float32: columns 2i + part
    // Matrices that hold a block of rows a head, [heads * head_dim, k]; rows [part, part + rows) of each are taken.
    kHeadRows,            ///< → [heads, rows, k]
    kHeadRowsTransposed,  ///< → [heads, k, rows], copied; quantized ones as float32
    kConvTaps,  ///< a depthwise convolution's [channels, 1, taps] or [channels, taps] → [taps, channels], float32
  };
  Kind kind = Kind::kNone;
  int head_dim = 0;
  float constant = 0.0f;
  int part = 0;
  int rows = 0;

  static Transform unpermute_rope(int head_dim) { return {Kind::kUnpermuteRope, head_dim, 0.0f}; }
  static Transform by_head(int parts, int head_dim) { return {Kind::kByHead, head_dim, 0.0f, parts}; }
  static Transform flatten(int head_dim) { return {Kind::kFlatten, head_dim, 0.0f}; }
  static Transform add(float constant) { return {Kind::kAdd, 0, constant}; }
  static Transform half(int part) { return {Kind::kHalf, 0, 0.0f, part}; }
  static Transform head_rows(int head_dim, int first, int rows) {
    return {Kind::kHeadRows, head_dim, 0.0f, first, rows};
  }
  static Transform head_rows_transposed(int head_dim, int first, int rows) {
    return {Kind::kHeadRowsTransposed, head_dim, 0.0f, first, rows};
  }
  static Transform conv_taps() { return {Kind::kConvTaps, 0, 0.0f}; }
  static Transform of_experts(Kind kind, int part = 0) { return {kind, 0, 0.0f, part}; }
};

/// A tensor of the file and what we call it. In patterns {i}, {j}, … stand for a number and * for anything; `ours`
/// repeats what they matched. "experts.w[{e}]" is matrix e of our experts.w [experts, n, k]: checkpoints hold a tensor
/// an expert, or all in one.
struct WeightRule {
  std::string_view file;  ///< "blk.{i}.attn_q.weight"
  std::string_view ours;  ///< "model.layers.{i}.self_attn.q_proj.weight"
  Transform transform = {};
};

struct WeightAdapter {
  /// The first that matches counts, and so do those that follow it with the same `file`: a tensor of several weights.
  std::vector<WeightRule> rules;
  std::vector<std::string_view> ignored = {};  ///< patterns of tensors that are not used; they win over rules
};

/// The rule for checkpoints that use our own names.
inline constexpr WeightRule kSameNames{"*", "*", {}};

/// Whether `name` matches `pattern`, and what {i} and * matched, in order.
std::optional<std::vector<std::string>> match(std::string_view pattern, std::string_view name);
/// `pattern` with its {i} and * replaced by `parts`, in order.
std::string substitute(std::string_view pattern, const std::vector<std::string>& parts);

/// What a tensor of this shape becomes; an empty shape where the transform does not suit it.
tensor::Shape transformed_shape(const tensor::Shape& shape, const Transform& transform);

/// The dtype of the transformed rows.
tensor::DType transformed_dtype(tensor::DType dtype, const Transform& transform);
/// The tensor that a transform wants beside the one of this name; "" if none.
std::string companion_name(const std::string& file_name, const Transform& transform);

/// The tensor as rows after its transform. A vector (rank 1) is one row. kAdd, and kUnpermuteRope and
/// kByHead of a vector, convert data (to float32), kTranspose… and kHeadRowsTransposed copy it; the rest is views. The
/// view's data must be there. F8_E4M3 with a companion (fp8_weights.h) becomes rows of FP8 first.
Result<tensor::RowView> transformed(const tensor::TensorView& tensor, const Transform& transform,
                                    const std::string& name, const tensor::TensorView* companion = nullptr);

}  // namespace tenon::model
