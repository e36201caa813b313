#pragma once

#include "runtime/step.h"

namespace tenon::runtime {

/// cos and sin of each token's position.
class RopeTableStep final : public RowStep {
 public:
  struct Data {
    std::vector<double> inv_freq;
    float scale;
    Place out;
  };
  RopeTableStep(std::string scope, Data data) : RowStep(std::move(scope), Rows::kTokens), data_(std::move(data)) {}
  const char* kernel() const override { return "rope_table"; }
  std::string describe() const override;
  void execute(const Run& run, std::int64_t begin, std::int64_t end, int thread) const override;

 private:
  Data data_;
};

/// What a rotation needs.
struct RopeData {
  Place x, table, out;
  kernels::RopeStyle style = kernels::RopeStyle::kHalf;
  int heads = 0, head_dim = 0;
  std::int64_t half = 0;
  void execute(const Run& run, std::int64_t begin, std::int64_t end) const;
};

class RopeStep final : public RowStep {
 public:
  RopeStep(std::string scope, const RopeData& data) : RowStep(std::move(scope), Rows::kTokens), data_(data) {}
  const char* kernel() const override { return "rope"; }
  std::string describe() const override;
  void execute(const Run& run, std::int64_t begin, std::int64_t end, int) const override {
    data_.execute(run, begin, end);
  }

 private:
  RopeData data_;
};

}  // namespace tenon::runtime
