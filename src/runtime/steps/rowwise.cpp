#include "runtime/steps/rowwise.h"

#include <array>

namespace tenon::runtime {
namespace {

using Instruction = RowwiseStep::Instruction;
using Kind = RowwiseStep::Kind;

constexpr std::array kNames = {"unary", "add", "mul", "scale", "softcap", "clamp", "layer_norm", "rms_norm"};

// One instruction on one row.
void apply(const Run& run, const Instruction& i, const RowwiseStep::Data& data, std::int64_t row, const float* x,
           float* out) {
  const kernels::Kernels& k = *run.kernels;
  const std::int64_t n = data.columns, all = data.groups * data.columns;
  switch (i.kind) {
    case Kind::kUnary:
      return k.unary(i.unary, x, out, all);
    case Kind::kScale:
      return k.scale(x, i.first, out, all);
    case Kind::kSoftcap:
      return k.softcap(x, i.first, out, all);
    case Kind::kClamp:
      return k.clamp(x, i.first, i.second, out, all);
    case Kind::kLayerNorm:
      return k.layer_norm(x, n, i.first, out, n, data.groups, n);
    case Kind::kRmsNorm:
      return k.rms_norm(x, n, run.vector(i.weights_offset), i.second, i.first, out, n, data.groups, n);
    case Kind::kAdd:
    case Kind::kMul: {
      const auto combine = i.kind == Kind::kAdd ? k.add : k.mul;
      if (!i.vector) return combine(x, run.floats(i.operand, row), out, all);
      for (std::int64_t g = 0; g < data.groups; ++g) combine(x + g * n, run.vector(i.weights_offset), out + g * n, n);
    }
  }
}

}  // namespace

std::string RowwiseStep::describe() const {
  std::string text;
  for (const Instruction& i : data_.program) text.append(kNames[static_cast<std::size_t>(i.kind)]).append(" ");
  return text + arrow({data_.groups, data_.columns}, data_.x, data_.out);
}

void RowwiseStep::execute(const Run& run, std::int64_t begin, std::int64_t end, int) const {
  for (std::int64_t row = begin; row < end; ++row) {
    float* out = run.floats(data_.out, row);
    const float* x = run.floats(data_.x, row);
    for (const Instruction& instruction : data_.program) {
      apply(run, instruction, data_, row, x, out);
      x = out;
    }
  }
}

}  // namespace tenon::runtime
