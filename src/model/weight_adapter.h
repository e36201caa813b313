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
    kAdd,            ///< a vector plus `constant`, as float32: GGUF's Gemma norms hold 1 + w
  };
  Kind kind = Kind::kNone;
  int head_dim = 0;
  float constant = 0.0f;

  static Transform unpermute_rope(int head_dim) { return {Kind::kUnpermuteRope, head_dim, 0.0f}; }
  static Transform add(float constant) { return {Kind::kAdd, 0, constant}; }
};

/// A tensor of the file and what we call it. In patterns {i}, {j}, … stand for a number and * for anything; `ours`
/// repeats what they matched.
struct WeightRule {
  std::string_view file;  ///< "blk.{i}.attn_q.weight"
  std::string_view ours;  ///< "model.layers.{i}.self_attn.q_proj.weight"
  Transform transform = {};
};

struct WeightAdapter {
  std::vector<WeightRule> rules;               ///< the first that matches counts
  std::vector<std::string_view> ignored = {};  ///< patterns of tensors that are not used; they win over rules
};

/// The rule for checkpoints that use our own names.
inline constexpr WeightRule kSameNames{"*", "*", {}};

/// Whether `name` matches `pattern`, and what {i} and * matched, in order.
std::optional<std::vector<std::string>> match(std::string_view pattern, std::string_view name);
/// `pattern` with its {i} and * replaced by `parts`, in order.
std::string substitute(std::string_view pattern, const std::vector<std::string>& parts);

/// The tensor as rows after its transform. A vector (rank 1) is one row. Only kAdd, and kUnpermuteRope of a vector,
/// convert data (to float32); the rest is views. The view's data must be there.
Result<tensor::RowView> transformed(const tensor::TensorView& tensor, const Transform& transform,
                                    const std::string& name);

}  // namespace tenon::model
