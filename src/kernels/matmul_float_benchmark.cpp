// The float matmuls of Llama-3.2-1B, with weights that come from memory, as they do in a model. Arguments: rows,
// threads. "read" is the share of the read bandwidth, "peak" that of the arithmetic peak, both measured just before
// each benchmark with the same threads; packing the activations is part of the time.
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
  std::int64_t n, k;
  Epilogue epilogue;
};
constexpr Shape kShapes[] = {{3072, 2048, Epilogue::kStore},
                             {2048, 2048, Epilogue::kAdd},
                             {16384, 2048, Epilogue::kSiluMul},
                             {2048, 8192, Epilogue::kAdd},
                             {128256, 2048, Epilogue::kStore}};

ThreadPool& pool(std::int64_t threads) {
  static ThreadPool one(1), two(2);
  return threads == 1 ? one : two;
}

/// Weights for every shape and dtype, packed: any bfloat16 pair of such words is a small number, and so is the float.
const HugeBuffer& memory() {
  static const HugeBuffer buffer = [] {
    HugeBuffer b = HugeBuffer::allocate(std::size_t{1100} << 20, "weights").value();
    std::vector<std::uint32_t> words(1 << 18);
    std::mt19937 random;
    for (std::uint32_t& w : words) w = 0x3c003c00u + (random() & 0x80ff80ffu);
    const std::size_t step = words.size() * 4;
    for (std::size_t at = 0; at + step <= b.size(); at += step) std::memcpy(b.data() + at, words.data(), step);
    return b;
  }();
  return buffer;
}

/// The same in coded form: panels of `k`, one after another as far as the buffer goes.
const HugeBuffer& coded_memory() {
  static const HugeBuffer buffer = [] {
    HugeBuffer b = HugeBuffer::allocate(memory().size(), "coded weights").value();
    constexpr std::int64_t kK = 2048;
    const std::int64_t panel = kernels().coded_panel_bytes(kK);
    const std::byte* rows[kPanel];
    for (int i = 0; i < kPanel; ++i) rows[i] = memory().data() + i * kK * 2;
    kernels().pack_coded_panel(kK, DType::kBF16, rows, b.data(), nullptr, 0);
    for (std::size_t at = static_cast<std::size_t>(panel); at + panel <= b.size(); at += panel) {
      std::memcpy(b.data() + at, b.data(), static_cast<std::size_t>(panel));
    }
    return b;
  }();
  return buffer;
}

benchmark::Counter rate(double amount) { return {amount, benchmark::Counter::kIsIterationInvariantRate}; }

void report(benchmark::State& state, DType dtype, const MachineLimits& limits, double bytes, double operations) {
  const double peak = dtype == DType::kBF16 ? limits.bf16_gflop_per_s : limits.f32_gflop_per_s;
  state.counters["GB/s"] = rate(bytes * 1e-9);
  state.counters["read"] = rate(bytes * 1e-9 / limits.read_gb_per_s);
  state.counters["GFLOP/s"] = rate(operations * 1e-9);
  state.counters["peak"] = rate(operations * 1e-9 / peak);
}

void BM_FloatMatmul(benchmark::State& state, DType dtype, const Shape& shape, bool coded) {
  const std::int64_t m = state.range(0);
  ThreadPool& threads = pool(state.range(1));
  const MachineLimits limits = measure_limits(threads);
  PackedMatrix weight{dtype, shape.n, shape.k, kernels().panel_bytes(dtype, shape.k), memory().data()};
  if (coded && kernels().coded_panel_bytes(shape.k) == 0) return state.SkipWithError("no coded panels");
  if (coded) weight.panel_bytes = kernels().coded_panel_bytes(shape.k);
  weight.coded = coded;
  const std::byte* const weights = (coded ? coded_memory() : memory()).data();
  const std::int64_t bytes = weight.panels() * weight.panel_bytes;
  const std::int64_t copies = static_cast<std::int64_t>(memory().size()) / bytes;
  std::vector<float> x(static_cast<std::size_t>(m * shape.k));
  for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<float>(i * 2654435761u % 1000) * 2e-3f - 1.0f;
  const bool gated = shape.epilogue == Epilogue::kSiluMul;
  const std::int64_t columns = gated ? shape.n / 2 : shape.n;
  const HugeBuffer y = HugeBuffer::allocate(static_cast<std::size_t>(m * columns) * 4, "y").value();
  const ActivationLayout layout = kernels().activation_layout(dtype, m, shape.k);
  const HugeBuffer activations = HugeBuffer::allocate(static_cast<std::size_t>(layout.bytes()), "activations").value();
  MatmulTask task = {weight,  layout,  activations.data(), reinterpret_cast<float*>(y.data()),
                     columns, nullptr, shape.epilogue};
  const std::int64_t items = gated ? weight.panels() / 2 : weight.panels();
  const std::int64_t grain = std::max<std::int64_t>(1, items / (threads.size() * (m >= 128 ? 4 : 8)));
  std::int64_t copy = 0;
  for (auto _ : state) {
    task.weight.data = weights + copy++ % copies * bytes;
    threads.parallel_for(layout.blocks(), 1, [&](std::int64_t block, std::int64_t) {
      kernels().pack_activations(layout, block, x.data() + block * layout.row_block * shape.k, shape.k,
                                 activations.data());
    });
    threads.parallel_for(items, grain, [&](std::int64_t begin, std::int64_t end) {
      kernels().matmul(task, gated ? 2 * begin : begin, gated ? 2 * end : end);
    });
  }
  report(state, dtype, limits, static_cast<double>(bytes), 2.0 * static_cast<double>(m * shape.n * shape.k));
}

/// Loading: rows of a checkpoint to panels. "read" counts the bytes read only.
void BM_PackPanels(benchmark::State& state, DType dtype, DType src_dtype) {
  constexpr std::int64_t kN = 32768, kK = 2048;
  ThreadPool& threads = pool(state.range(0));
  const MachineLimits limits = measure_limits(threads);
  const std::int64_t row_bytes = tensor::bytes_of(src_dtype, kK);
  const std::int64_t panel_bytes = kernels().panel_bytes(dtype, kK);
  const HugeBuffer out = HugeBuffer::allocate(static_cast<std::size_t>(kN / kPanel * panel_bytes), "panels").value();
  std::fill_n(out.data(), out.size(), std::byte{1});
  for (auto _ : state) {
    threads.parallel_for(kN / kPanel, 16, [&](std::int64_t begin, std::int64_t end) {
      for (std::int64_t p = begin; p < end; ++p) {
        const std::byte* rows[kPanel];
        // Rows of a checkpoint lie at any address.
        for (int i = 0; i < kPanel; ++i) rows[i] = memory().data() + 8 + (p * kPanel + i) * row_bytes;
        kernels().pack_panel(dtype, kK, src_dtype, rows, out.data() + p * panel_bytes);
      }
    });
  }
  state.counters["GB/s"] = rate(static_cast<double>(kN * row_bytes) * 1e-9);
  state.counters["read"] = rate(static_cast<double>(kN * row_bytes) * 1e-9 / limits.read_gb_per_s);
}

[[maybe_unused]] const bool kRegistered = [] {
  struct Form {
    DType dtype;
    bool coded;
  };
  for (const auto [dtype, coded] :
       {Form{DType::kBF16, false}, Form{DType::kBF16, true}, Form{DType::kF32, false}, Form{DType::kFP8, false}}) {
    for (const Shape& shape : kShapes) {
      const std::string name = std::string("FloatMatmul/") + tensor::name(dtype) + (coded ? "_coded" : "") + "/" +
                               std::to_string(shape.n) + "x" + std::to_string(shape.k);
      auto* b = benchmark::RegisterBenchmark(name.c_str(), [dtype, coded, &shape](benchmark::State& state) {
        BM_FloatMatmul(state, dtype, shape, coded);
      });
      for (const int m : {1, 4, 8, 16, 32, 64, 512}) {
        for (const int threads : {1, 2}) b->Args({m, threads});
      }
      b->UseRealTime()->Unit(benchmark::kMicrosecond);
    }
    if (dtype == DType::kFP8 || coded) continue;
    for (const DType src : {DType::kBF16, DType::kF32}) {
      const std::string name = std::string("PackPanels/") + tensor::name(src) + "_to_" + tensor::name(dtype);
      benchmark::RegisterBenchmark(name.c_str(),
                                   [dtype, src](benchmark::State& state) { BM_PackPanels(state, dtype, src); })
          ->Arg(1)
          ->Arg(2)
          ->UseRealTime()
          ->Unit(benchmark::kMillisecond);
    }
  }
  return true;
}();

}  // namespace
}  // namespace tenon::kernels
