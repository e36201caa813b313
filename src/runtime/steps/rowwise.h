#pragma once

#include "runtime/step.h"

namespace tenon::runtime {

/// A chain of elementwise kernels and norms, a row at a time: the first reads x, the others work in place in `out`.
class RowwiseStep final : public RowStep {
 public:
  enum class Kind : std::uint8_t { kUnary, kAdd, kMul, kScale, kSoftcap, kClamp, kLayerNorm, kRmsNorm };
  struct Instruction {
    Kind kind = Kind::kUnary;
    kernels::Unary unary = kernels::Unary::kSilu;
    bool vector = false;  ///< the operand is a vector of the weights that each group is combined with
    Place operand;        ///< else a value of the arena
    std::int64_t weights_offset = 0;
    float first = 0, second = 0;  ///< scale; cap; min and max; eps; eps and weight_offset
  };
  struct Data {
    Place x, out;
    std::int64_t groups, columns;  ///< a row is `groups` times `columns` floats (heads)
    std::vector<Instruction> program;
  };
  RowwiseStep(std::string scope, Rows rows, Data data) : RowStep(std::move(scope), rows), data_(std::move(data)) {}
  const char* kernel() const override { return "rowwise"; }
  std::string describe() const override;
  void execute(const Run& run, std::int64_t begin, std::int64_t end, int thread) const override;

 private:
  Data data_;
};

}  // namespace tenon::runtime
