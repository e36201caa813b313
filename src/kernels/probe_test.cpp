#include "kernels/probe.h"

#include <gtest/gtest.h>

#include <chrono>
#include <string>

#include "base/clock.h"
#include "kernels/kernels.h"

namespace tenon::kernels {
namespace {

TEST(Probe, MeasuresPlausibleLimitsQuickly) {
  ThreadPool pool(2);
  const TimePoint begin = std::chrono::steady_clock::now();
  const MachineLimits limits = measure_limits(pool);
  const double seconds = seconds_between(begin, std::chrono::steady_clock::now());
  const std::string isa = kernels().isa;
  RecordProperty("seconds", std::to_string(seconds));
  // Wide bounds: they catch units that are wrong and loops that the compiler took away.
  EXPECT_LT(seconds, 10.0);
  EXPECT_GT(limits.read_gb_per_s, 0.5);
  EXPECT_LT(limits.read_gb_per_s, 2000.0);
  for (const double flops : {limits.f32_gflop_per_s, limits.bf16_gflop_per_s}) {
    EXPECT_GT(flops, 1.0);
    EXPECT_LT(flops, 4000.0);
  }
  EXPECT_EQ(limits.int8_gop_per_s > 1.0, isa != "portable");
  EXPECT_LT(limits.int8_gop_per_s, 8000.0);
  std::printf("[ limits   ] %s, 2 threads: read %.1f GB/s, bf16 %.0f, f32 %.0f GFLOP/s, int8 %.0f GOP/s, in %.2f s\n",
              isa.c_str(), limits.read_gb_per_s, limits.bf16_gflop_per_s, limits.f32_gflop_per_s, limits.int8_gop_per_s,
              seconds);
}

}  // namespace
}  // namespace tenon::kernels
