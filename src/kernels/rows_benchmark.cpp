// The row kernels on one thread, on rows that lie in the cache, as they do between two matmuls: GB/s read and written.
// None of them reads from memory at scale, so there is no limit of the machine beside which to put them but its caches;
// "copy" is what copying the same floats takes.
#include <benchmark/benchmark.h>

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include "kernels/kernels.h"

namespace tenon::kernels {
namespace {

constexpr std::int64_t kRows = 16;
constexpr std::int64_t kColumns = 2048;
constexpr std::int64_t kCount = kRows * kColumns;
constexpr int kHeadDim = 64;
constexpr std::int64_t kVocabulary = 128256;

std::vector<float> floats(std::int64_t n) {
  std::vector<float> x(static_cast<std::size_t>(n));
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i * 2654435761u % 1000) * 6e-3f - 3.0f;
  return x;
}

void report(benchmark::State& state, std::int64_t bytes) {
  state.counters["GB/s"] =
      benchmark::Counter(static_cast<double>(bytes) * 1e-9, benchmark::Counter::kIsIterationInvariantRate);
}

/// f(x, y) on kCount floats.
template <class Function>
void measure(benchmark::State& state, Function f) {
  const std::vector<float> x = floats(kCount);
  std::vector<float> y(x.size());
  for (auto _ : state) {
    f(x.data(), y.data());
    benchmark::ClobberMemory();
  }
  report(state, kCount * 8);
}

void BM_Copy(benchmark::State& state) {
  measure(state, [](const float* x, float* y) { std::memcpy(y, x, kCount * sizeof *x); });
}
BENCHMARK(BM_Copy);

void BM_RmsNorm(benchmark::State& state) {
  const std::vector<float> weight = floats(kColumns);
  measure(state, [&](const float* x, float* y) {
    kernels().rms_norm(x, kColumns, weight.data(), 0.0f, 1e-5f, y, kColumns, kRows, kColumns);
  });
}
BENCHMARK(BM_RmsNorm);

void BM_LayerNorm(benchmark::State& state) {
  measure(state,
          [&](const float* x, float* y) { kernels().layer_norm(x, kColumns, 1e-5f, y, kColumns, kRows, kColumns); });
}
BENCHMARK(BM_LayerNorm);

void BM_Rope(benchmark::State& state, RopeStyle style) {
  const std::vector<float> table = floats(kRows * kHeadDim);
  measure(state, [&](const float* x, float* y) {
    kernels().rope(x, kColumns, table.data(), style, kRows, kColumns / kHeadDim, kHeadDim, kHeadDim / 2, y, kColumns);
  });
}
BENCHMARK_CAPTURE(BM_Rope, half, RopeStyle::kHalf);
BENCHMARK_CAPTURE(BM_Rope, interleaved, RopeStyle::kInterleaved);

void BM_RopeTable(benchmark::State& state) {
  std::vector<double> inv_freq(kHeadDim / 2, 0.37);
  std::vector<std::int32_t> positions(512, 4000);
  std::vector<float> table(positions.size() * kHeadDim);
  for (auto _ : state) {
    kernels().rope_table(positions.data(), 512, inv_freq.data(), kHeadDim / 2, 1.0f, table.data());
    benchmark::ClobberMemory();
  }
  report(state, static_cast<std::int64_t>(table.size()) * 4);
}
BENCHMARK(BM_RopeTable);

void BM_Unary(benchmark::State& state, Unary op) {
  measure(state, [&](const float* x, float* y) { kernels().unary(op, x, y, kCount); });
}
BENCHMARK_CAPTURE(BM_Unary, silu, Unary::kSilu);
BENCHMARK_CAPTURE(BM_Unary, gelu_tanh, Unary::kGeluTanh);
BENCHMARK_CAPTURE(BM_Unary, gelu_erf, Unary::kGeluErf);

void BM_Add(benchmark::State& state) {
  measure(state, [](const float* x, float* y) { kernels().add(x, y, y, kCount); });
}
BENCHMARK(BM_Add);

void BM_Softcap(benchmark::State& state) {
  measure(state, [](const float* x, float* y) { kernels().softcap(x, 30.0f, y, kCount); });
}
BENCHMARK(BM_Softcap);

void BM_DequantizeRow(benchmark::State& state, DType dtype) {
  const std::vector<std::byte> row(static_cast<std::size_t>(tensor::bytes_of(dtype, kCount)), std::byte{0x11});
  std::vector<float> y(static_cast<std::size_t>(kCount));
  for (auto _ : state) {
    kernels().dequantize_row(dtype, row.data(), kCount, 1.0f, y.data());
    benchmark::ClobberMemory();
  }
  report(state, kCount * 4 + tensor::bytes_of(dtype, kCount));
}
BENCHMARK_CAPTURE(BM_DequantizeRow, bf16, DType::kBF16);
BENCHMARK_CAPTURE(BM_DequantizeRow, q8_0, DType::kQ8_0);
BENCHMARK_CAPTURE(BM_DequantizeRow, q4_0, DType::kQ4_0);
BENCHMARK_CAPTURE(BM_DequantizeRow, q4_k, DType::kQ4_K);
BENCHMARK_CAPTURE(BM_DequantizeRow, q6_k, DType::kQ6_K);

void BM_Argmax(benchmark::State& state) {
  const std::vector<float> x = floats(kVocabulary);
  for (auto _ : state) benchmark::DoNotOptimize(kernels().argmax(x.data(), kVocabulary));
  report(state, kVocabulary * 4);
}
BENCHMARK(BM_Argmax);

void BM_LogSumExp(benchmark::State& state) {
  const std::vector<float> x = floats(kVocabulary);
  for (auto _ : state) benchmark::DoNotOptimize(kernels().log_sum_exp(x.data(), kVocabulary));
  report(state, kVocabulary * 4);
}
BENCHMARK(BM_LogSumExp);

}  // namespace
}  // namespace tenon::kernels
