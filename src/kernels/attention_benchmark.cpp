// Attention of one layer with Llama-3.2-1B's heads, on all threads, items handed out as the runtime hands them out.
// "peak" is the share of the peak of what multiplies the cache's type, "read" the share of the read bandwidth, both
// measured in the same run.
#include <benchmark/benchmark.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "base/file.h"
#include "base/thread_pool.h"
#include "kernels/kernels.h"
#include "kernels/probe.h"

namespace tenon::kernels {
namespace {

ThreadPool& pool() {
  static ThreadPool threads;
  return threads;
}

const MachineLimits& machine() {
  static const MachineLimits limits = measure_limits(pool());
  return limits;
}

void report(benchmark::State& state, DType dtype, double flops, double bytes) {
  const auto rate = benchmark::Counter::kIsIterationInvariantRate;
  if (flops > 0) {
    state.counters["GFLOP/s"] = benchmark::Counter(flops * 1e-9, rate);
    const double peak = dtype == DType::kBF16 ? machine().bf16_gflop_per_s : machine().f32_gflop_per_s;
    state.counters["peak"] = benchmark::Counter(flops * 1e-9 / peak, rate);
  }
  if (bytes > 0) {
    state.counters["GB/s"] = benchmark::Counter(bytes * 1e-9, rate);
    state.counters["read"] = benchmark::Counter(bytes * 1e-9 / machine().read_gb_per_s, rate);
  }
}

struct Model {
  int heads;
  int kv_heads;
  int dim;
};
constexpr Model kLlama1B{32, 8, 64};

/// `rows` sequences with `past` tokens in the cache and `fresh` new ones, every page filled, on shuffled pages.
struct Workload {
  Workload(const Model& shape, DType dtype, int rows, int past, int fresh) : model(shape) {
    layout = {dtype, {{shape.kv_heads, shape.dim, shape.dim}}};
    max_pages = (past + fresh + tensor::kPageTokens - 1) / tensor::kPageTokens;
    offsets.push_back(0);
    for (int r = 0; r < rows; ++r) {
      for (int i = 0; i < fresh; ++i) positions.push_back(past + i);
      offsets.push_back(static_cast<std::int32_t>(positions.size()));
    }
    const int pages = rows * max_pages;
    for (int p = 0; p < pages; ++p) table.push_back(static_cast<std::int32_t>(std::int64_t{p} * 7919 % pages));
    ids.assign(positions.size(), 0);
    batch = {ids, positions, offsets, table, max_pages, {}};
    memory =
        HugeBuffer::allocate(static_cast<std::size_t>(layout.page_bytes()) * static_cast<std::size_t>(pages), "pages")
            .value();
    const std::size_t width = static_cast<std::size_t>(shape.heads * shape.dim);
    q.resize(positions.size() * width);
    out.resize(q.size());
    for (std::size_t i = 0; i < q.size(); ++i) q[i] = static_cast<float>(i * 2654435761u % 1000) * 2e-3f - 1.0f;
    // Keys and values that are numbers.
    if (dtype == DType::kBF16) {
      auto* x = reinterpret_cast<std::uint16_t*>(memory.data());
      for (std::size_t i = 0; i < memory.size() / 2; ++i) x[i] = static_cast<std::uint16_t>(0x3f00 + i * 40503u % 128);
    } else {
      auto* x = reinterpret_cast<float*>(memory.data());
      for (std::size_t i = 0; i < memory.size() / 4; ++i) x[i] = static_cast<float>(i % 61) * 0.03f - 0.9f;
    }
    task = {q.data(),    static_cast<std::int64_t>(width),
            out.data(),  static_cast<std::int64_t>(width),
            shape.heads, &layout,
            0,           memory.data(),
            &batch,      0.125f};
    scratch_bytes = kernels().attention_scratch_bytes(task);
    scratch.resize(static_cast<std::size_t>(scratch_bytes * pool().size()));
    for (const std::int32_t position : positions) {
      flops += 4.0 * (position + 1) * shape.heads * shape.dim;
      // The pages are read once an item; for a decode step that is once.
      bytes += 2.0 * (position + 1) * shape.kv_heads * shape.dim * tensor::info(dtype).block_bytes;
    }
  }

  Model model;
  tensor::KvLayout layout;
  int max_pages = 0;
  std::vector<std::int32_t> positions, offsets, table, ids;
  tensor::Batch batch;
  HugeBuffer memory;
  std::vector<float> q, out;
  AttentionTask task;
  std::vector<std::byte> scratch;
  std::int64_t scratch_bytes = 0;
  double flops = 0;
  double bytes = 0;
};

void run(benchmark::State& state, Workload& work) {
  const std::int64_t items = kernels().attention_items(work.task);
  machine();
  for (auto _ : state) {
    std::atomic<std::int64_t> next = 0;
    pool().run([&](int thread) {
      std::byte* scratch = work.scratch.data() + thread * work.scratch_bytes;
      for (std::int64_t i = next++; i < items; i = next++) kernels().attention(work.task, i, i + 1, scratch);
    });
  }
}

void BM_AttentionPrefill(benchmark::State& state, DType dtype) {
  Workload work(kLlama1B, dtype, 1, static_cast<int>(state.range(0)), static_cast<int>(state.range(1)));
  run(state, work);
  report(state, dtype, work.flops, 0);
}

void BM_AttentionDecode(benchmark::State& state, DType dtype) {
  Workload work(kLlama1B, dtype, static_cast<int>(state.range(0)), static_cast<int>(state.range(1)), 1);
  run(state, work);
  report(state, dtype, work.flops, work.bytes);
}

void BM_KvAppend(benchmark::State& state, DType dtype) {
  constexpr int kTokens = 512;
  Workload work(kLlama1B, dtype, 1, 0, kTokens);
  const int width = kLlama1B.kv_heads * kLlama1B.dim;
  const KvAppendTask task{work.q.data(), width, work.q.data(), width, &work.layout, 0, work.memory.data(), &work.batch};
  machine();
  for (auto _ : state) {
    pool().parallel_for(kTokens, 64,
                        [&](std::int64_t begin, std::int64_t end) { kernels().kv_append(task, begin, end); });
  }
  report(state, dtype, 0, 2.0 * kTokens * width * (4 + tensor::info(dtype).block_bytes));
}

BENCHMARK_CAPTURE(BM_AttentionPrefill, bf16, DType::kBF16)
    ->ArgNames({"past", "tokens"})
    ->Args({0, 64})
    ->Args({0, 512})
    ->Args({3584, 512})
    ->UseRealTime();
BENCHMARK_CAPTURE(BM_AttentionPrefill, f32, DType::kF32)->ArgNames({"past", "tokens"})->Args({0, 512})->UseRealTime();
BENCHMARK_CAPTURE(BM_AttentionDecode, bf16, DType::kBF16)
    ->ArgNames({"rows", "past"})
    ->Args({1, 4095})
    ->Args({32, 511})
    ->Args({32, 4095})
    ->UseRealTime();
BENCHMARK_CAPTURE(BM_AttentionDecode, f32, DType::kF32)->ArgNames({"rows", "past"})->Args({32, 4095})->UseRealTime();
BENCHMARK_CAPTURE(BM_KvAppend, bf16, DType::kBF16)->UseRealTime();

}  // namespace
}  // namespace tenon::kernels
