#include "kernels/probe.h"

#include <algorithm>
#include <atomic>
#include <string_view>

#include "base/clock.h"
#include "base/file.h"
#include "base/memory.h"
#include "kernels/kernels.h"
#include "kernels/probe_part.h"

namespace tenon::kernels {
namespace {

const ProbePart& part() {
  const std::string_view isa = kernels().isa;
  if (isa == "avx512") return avx512_isa::kProbe;
  if (isa == "avx2") return avx2_isa::kProbe;
  return portable_isa::kProbe;
}

std::atomic<float> sink;  // so that no loop is dead code

/// The best of a few runs of work(thread) on all threads, in seconds.
template <class Work>
double best_seconds(ThreadPool& pool, int runs, Work work) {
  double best = 1e9;
  for (int i = 0; i < runs; ++i) {
    const TimePoint begin = std::chrono::steady_clock::now();
    pool.run([&](int thread) { sink.store(work(thread), std::memory_order_relaxed); });
    best = std::min(best, seconds_between(begin, std::chrono::steady_clock::now()));
  }
  return best;
}

double read_bandwidth(ThreadPool& pool) {
  constexpr std::int64_t kBytes = std::int64_t{512} << 20;  // far beyond any cache
  constexpr std::int64_t kPage = 4096;
  // Leaves most of a small machine's memory alone: a probe must not push anything out.
  if (available_memory() < static_cast<std::size_t>(kBytes) * 2) return 0;
  const auto buffer = HugeBuffer::allocate(static_cast<std::size_t>(kBytes), "the bandwidth probe");
  if (!buffer) return 0;
  const std::int64_t share = kBytes / pool.size() / kPage * kPage;
  pool.run([&](int thread) { std::fill_n(buffer->data() + thread * share, share, std::byte{1}); });
  const double seconds =
      best_seconds(pool, 8, [&](int thread) { return part().read(buffer->data() + thread * share, share); });
  return static_cast<double>(share * pool.size()) / seconds * 1e-9;
}

double operations(ThreadPool& pool, float (*work)(std::int64_t), int operations_a_step) {
  if (work == nullptr) return 0;
  // A few milliseconds a run.
  std::int64_t steps = 1 << 12;
  while (steps < (1 << 26) && best_seconds(pool, 1, [&](int) { return work(steps); }) < 4e-3) steps *= 2;
  const double seconds = best_seconds(pool, 5, [&](int) { return work(steps); });
  return static_cast<double>(steps) * operations_a_step * pool.size() / seconds * 1e-9;
}

}  // namespace

MachineLimits measure_limits(ThreadPool& pool) {
  return {.read_gb_per_s = read_bandwidth(pool),
          .bf16_gflop_per_s = operations(pool, part().bf16, part().bf16_operations),
          .f32_gflop_per_s = operations(pool, part().f32, part().f32_operations),
          .int8_gop_per_s = operations(pool, part().int8, part().int8_operations)};
}

}  // namespace tenon::kernels
