// What depends on a token's position, or on the states of the tokens before it.
#pragma once

#include "runtime/step.h"

namespace tenon::runtime {

/// y = x · (1 + strength · log(1 + floor((position + 1) / floor_scale))), a row at a time.
class PositionTemperatureStep final : public RowStep {
 public:
  struct Data {
    Place x, out;
    std::int64_t columns;
    double floor_scale, strength;
  };
  PositionTemperatureStep(std::string scope, const Data& data)
      : RowStep(std::move(scope), Rows::kTokens), data_(data) {}
  const char* kernel() const override { return "position_temperature"; }
  std::string describe() const override;
  void execute(const Run& run, std::int64_t begin, std::int64_t end, int thread) const override;

 private:
  Data data_;
};

/// Depthwise convolution over the states that the layer's cache holds as values. The taps are added from the oldest on,
/// each read from the cache, whoever appended it: one order, one rounding.
class ShortConvStep final : public RowStep {
 public:
  struct Data {
    int layer;
    Place out;
    std::int64_t channels, taps;
    std::int64_t weight;  ///< offset into the weights, [taps, channels]
  };
  ShortConvStep(std::string scope, const Data& data) : RowStep(std::move(scope), Rows::kTokens), data_(data) {}
  const char* kernel() const override { return "short_conv"; }
  std::string describe() const override;
  void execute(const Run& run, std::int64_t begin, std::int64_t end, int thread) const override;
  std::int64_t scratch_bytes(const kernels::Kernels&, const Limits&, const tensor::KvLayout&) const override {
    return data_.channels * static_cast<std::int64_t>(sizeof(float));
  }

 private:
  Data data_;
};

}  // namespace tenon::runtime
