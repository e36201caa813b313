#pragma once

#include <optional>

#include "runtime/step.h"

namespace tenon::runtime {

/// A packed matrix, its data at an offset into the weights.
struct MatrixPlace {
  tensor::DType dtype = tensor::DType::kF32;
  std::int64_t n = 0, k = 0, panel_bytes = 0, offset = 0;
  bool coded = false;  ///< kernels::PackedMatrix::coded
  std::int64_t panels() const { return (n + kernels::kPanel - 1) / kernels::kPanel; }
  std::int64_t bytes() const { return panels() * panel_bytes; }
  std::string form() const { return std::string(tensor::name(dtype)) + (coded ? " coded" : ""); }
};

/// run.kernels->matmul of panels [begin, end) of the weight's matrix `part` (expert or head; they follow one another).
/// `task` is complete but for its weight.
void multiply(const Run& run, const MatrixPlace& weight, std::int64_t part, kernels::MatmulTask task,
              std::int64_t begin, std::int64_t end, int thread);

/// y = x · wᵀ and an epilogue. An item is a panel, or a pair of them for the gated epilogues.
class MatmulStep final : public Step {
 public:
  struct Data {
    MatrixPlace weight;
    PackedPlace x;
    Place out;
    std::optional<std::int64_t> bias;  ///< offset into the weights
    kernels::Epilogue epilogue = kernels::Epilogue::kStore;
  };
  MatmulStep(std::string scope, const Data& data) : Step(std::move(scope)), data_(data) {}
  const char* kernel() const override { return "matmul"; }
  std::string describe() const override;
  bool by_rows() const override { return false; }
  std::int64_t items(const Run& run) const override;
  void execute(const Run& run, std::int64_t begin, std::int64_t end, int thread) const override;

 private:
  bool gated() const { return data_.epilogue > kernels::Epilogue::kAdd; }
  Data data_;
};

}  // namespace tenon::runtime
