// The quantized matmuls of Llama-3.2-1B on all threads, with weights that come from memory, as they do in a model.
// "read" is the share of the read bandwidth in packed bytes, "int8" the share of the integer peak, both measured in the
// same run; packing the activations is part of the time.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstring>
#include <random>
#include <string>
#include <vector>

#include "base/file.h"
#include "base/thread_pool.h"
#include "kernels/kernels.h"
#include "kernels/probe.h"

namespace tenon::kernels {
namespace {

struct Shape {
  const char* name;
  std::int64_t n, k;
  Epilogue epilogue;
};
constexpr Shape kShapes[] = {
    {"qkv", 3072, 2048, Epilogue::kStore},
    {"o", 2048, 2048, Epilogue::kAdd},
    {"gate_up", 16384, 2048, Epilogue::kSiluMul},
    {"down", 2048, 8192, Epilogue::kAdd},
};

ThreadPool& pool() {
  static ThreadPool threads;
  return threads;
}

const MachineLimits& machine() {
  static const MachineLimits limits = measure_limits(pool());
  return limits;
}

/// Copies of one packed weight, together far beyond any cache.
struct Weights {
  PackedMatrix matrix;
  HugeBuffer memory;
  std::int64_t bytes = 0, copies = 0;

  Weights(DType dtype, std::int64_t n, std::int64_t k) {
    constexpr std::int64_t kTotal = std::int64_t{192} << 20;
    matrix = {dtype, n, k, kernels().panel_bytes(dtype, k), nullptr};
    bytes = matrix.panels() * matrix.panel_bytes;
    copies = kTotal / bytes;
    memory = HugeBuffer::allocate(static_cast<std::size_t>(copies * bytes), "weights").value();
    // Random codes; scales that keep the sums finite and normal.
    std::vector<std::byte> rows(static_cast<std::size_t>(kPanel * tensor::bytes_of(dtype, k)));
    std::mt19937 random;
    for (std::byte& b : rows) b = static_cast<std::byte>((random() & 0x1f) | 0x20);
    const std::byte* pointers[kPanel];
    for (int i = 0; i < kPanel; ++i) pointers[i] = rows.data() + i * tensor::bytes_of(dtype, k);
    for (std::int64_t p = 0; p < matrix.panels(); ++p)
      kernels().pack_panel(dtype, k, dtype, pointers, memory.data() + p * matrix.panel_bytes);
    for (std::int64_t c = 1; c < copies; ++c)
      std::memcpy(memory.data() + c * bytes, memory.data(), static_cast<std::size_t>(bytes));
  }
};

void BM_QuantMatmul(benchmark::State& state, DType dtype, const Shape& shape) {
  const std::int64_t m = state.range(0);
  Weights weights(dtype, shape.n, shape.k);
  std::vector<float> x(static_cast<std::size_t>(m * shape.k));
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i * 2654435761u % 1000) * 2e-3f - 1.0f;
  const bool gated = shape.epilogue == Epilogue::kSiluMul;
  const std::int64_t columns = gated ? shape.n / 2 : shape.n;
  std::vector<float> y(static_cast<std::size_t>(m * columns));
  const ActivationLayout layout = kernels().activation_layout(dtype, m, shape.k);
  std::vector<std::byte> activations(static_cast<std::size_t>(layout.bytes()));
  MatmulTask task = {weights.matrix, layout, activations.data(), y.data(), columns, nullptr, shape.epilogue};
  const std::int64_t items = gated ? task.weight.panels() / 2 : task.weight.panels();
  std::int64_t copy = 0;
  for (auto _ : state) {
    task.weight.data = weights.memory.data() + copy++ % weights.copies * weights.bytes;
    pool().parallel_for(layout.blocks(), 1, [&](std::int64_t begin, std::int64_t) {
      kernels().pack_activations(layout, begin, x.data() + begin * layout.row_block * shape.k, shape.k,
                                 activations.data());
    });
    pool().parallel_for(items, std::max<std::int64_t>(1, items / (8 * pool().size())),
                        [&](std::int64_t begin, std::int64_t end) {
                          kernels().matmul(task, gated ? 2 * begin : begin, gated ? 2 * end : end);
                        });
  }
  const auto rate = [](double amount) {
    return benchmark::Counter(amount, benchmark::Counter::kIsIterationInvariantRate);
  };
  const double gigabytes = static_cast<double>(weights.bytes) * 1e-9;
  const double operations = 2e-9 * static_cast<double>(m) * static_cast<double>(shape.n * shape.k);
  state.counters["GB/s"] = rate(gigabytes);
  state.counters["read"] = rate(gigabytes / machine().read_gb_per_s);
  state.counters["GOP/s"] = rate(operations);
  state.counters["int8"] = rate(operations / machine().int8_gop_per_s);
}

[[maybe_unused]] const bool kRegistered = [] {
  for (const DType dtype : {DType::kQ8_0, DType::kQ4_0, DType::kQ4_K, DType::kQ6_K, DType::kMXFP4}) {
    for (const Shape& shape : kShapes) {
      auto* b = benchmark::RegisterBenchmark(
          (std::string("QuantMatmul/") + tensor::name(dtype) + "/" + shape.name).c_str(),
          [dtype, &shape](benchmark::State& state) { BM_QuantMatmul(state, dtype, shape); });
      for (const int m : {1, 8, 16, 32, 64, 512}) b->Arg(m);
      b->UseRealTime()->Unit(benchmark::kMicrosecond);
    }
  }
  return true;
}();

}  // namespace
}  // namespace tenon::kernels
