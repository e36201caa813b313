#pragma once

#include <optional>

#include "runtime/step.h"

namespace tenon::runtime {

/// Packs the left operand of matmuls, normalising its rows on the way if there is a norm.
class PackStep final : public RowStep {
 public:
  struct Norm {
    std::int64_t weight;  ///< offset into the weights
    float eps, weight_offset;
  };
  struct Data {
    Place x;
    std::optional<Norm> norm;
    PackedPlace out;
  };
  PackStep(std::string scope, const Data& data) : RowStep(std::move(scope), data.out.rows), data_(data) {}
  const char* kernel() const override { return data_.norm ? "rms_norm+pack" : "pack"; }
  std::string describe() const override;
  /// Whole blocks of the operand.
  std::int64_t alignment(const Run& run) const override { return run.layout(data_.out).row_block; }
  void execute(const Run& run, std::int64_t begin, std::int64_t end, int thread) const override;
  std::int64_t scratch_bytes(const kernels::Kernels& k, const Limits& limits, const tensor::KvLayout&) const override;

 private:
  Data data_;
};

}  // namespace tenon::runtime
