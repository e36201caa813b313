// A linear layer of each head: the rows of a head are packed for its matmul, then each head's panels are computed.
#pragma once

#include "runtime/step.h"
#include "runtime/steps/matmul.h"

namespace tenon::runtime {

/// The packed left operands of all heads' matmuls, one after another.
struct HeadOperandPlace {
  std::int64_t offset = 0;  ///< bytes from the arena's start
  tensor::DType weight_dtype = tensor::DType::kF32;
  std::int64_t k = 0, heads = 0;
  /// Bytes of one head's operand.
  static std::int64_t head_bytes(const kernels::ActivationLayout& layout) { return (layout.bytes() + 63) / 64 * 64; }
  kernels::ActivationLayout layout(const Run& run) const {
    return run.kernels->activation_layout(weight_dtype, run.rows(Rows::kTokens), k);
  }
};

/// Packs the rows of each head. Items are the row blocks of all heads, one head after another.
class PackHeadsStep final : public Step {
 public:
  PackHeadsStep(std::string scope, const Place& x, const HeadOperandPlace& out)
      : Step(std::move(scope)), x_(x), out_(out) {}
  const char* kernel() const override { return "pack_heads"; }
  std::string describe() const override;
  bool by_rows() const override { return false; }
  std::int64_t items(const Run& run) const override { return out_.heads * out_.layout(run).blocks(); }
  void execute(const Run& run, std::int64_t begin, std::int64_t end, int thread) const override;

 private:
  Place x_;
  HeadOperandPlace out_;
};

/// y = x · wᵀ of each head. Items are the panels of all heads, one head after another.
class HeadMatmulStep final : public Step {
 public:
  struct Data {
    MatrixPlace weight;  ///< of head 0; the others follow
    HeadOperandPlace x;
    Place out;  ///< a row holds all heads, n columns each
  };
  HeadMatmulStep(std::string scope, const Data& data) : Step(std::move(scope)), data_(data) {}
  const char* kernel() const override { return "head_matmul"; }
  std::string describe() const override;
  bool by_rows() const override { return false; }
  std::int64_t items(const Run& run) const override {
    return run.rows(Rows::kTokens) == 0 ? 0 : data_.x.heads * data_.weight.panels();
  }
  void execute(const Run& run, std::int64_t begin, std::int64_t end, int thread) const override;

 private:
  Data data_;
};

}  // namespace tenon::runtime
