// For the tests of the float matmul: operands packed for one ISA, and products of them.
#pragma once

#include <algorithm>
#include <cstring>
#include <memory>
#include <ostream>
#include <random>
#include <string>
#include <vector>

#include "kernels/parts.h"
#include "tensor/dtype.h"

namespace tenon::kernels::test {

using Bytes = std::vector<std::byte>;

struct Isa {
  const char* name;
  const MatmulPart* part;
};

inline void PrintTo(const Isa& isa, std::ostream* out) { *out << isa.name; }

inline std::vector<Isa> isas() {
  std::vector<Isa> all = {{"portable", &portable_isa::kFloatMatmul}};
  if (avx2() != nullptr) all.push_back({"avx2", &avx2_isa::kFloatMatmul});
  if (avx512() != nullptr) all.push_back({"avx512", &avx512_isa::kFloatMatmul});
  return all;
}

inline std::vector<float> random_floats(std::size_t n, unsigned seed) {
  std::mt19937 rng(seed);
  std::normal_distribution<float> normal;
  std::vector<float> x(n);
  for (float& v : x) v = normal(rng);
  return x;
}

inline float round_to(DType dtype, float x) {
  return dtype == DType::kBF16 ? tensor::from_bf16(tensor::to_bf16(x)) : x;
}

/// 64-byte aligned memory of packed operands.
class Aligned {
 public:
  explicit Aligned(std::int64_t bytes) : storage_(static_cast<std::size_t>(bytes) + 64, std::byte{0xff}) {}
  std::byte* data() {
    const auto address = reinterpret_cast<std::uintptr_t>(storage_.data());
    return storage_.data() + (64 - address % 64) % 64;
  }

 private:
  Bytes storage_;
};

/// w [n, k] as `stored` rows, packed for one ISA.
struct Weight {
  Weight(const MatmulPart& part, DType dtype, DType src_dtype, const Bytes& stored, std::int64_t n, std::int64_t k,
         bool coded = false)
      : Weight(n, k, dtype, coded, coded ? part.coded_panel_bytes(k) : part.panel_bytes(dtype, k)) {
    const std::int64_t row_bytes = tensor::bytes_of(src_dtype, k);
    for (std::int64_t p = 0; p < matrix.panels(); ++p) {
      const std::byte* rows[kPanel];
      for (int i = 0; i < kPanel; ++i)
        rows[i] = p * kPanel + i < n ? stored.data() + (p * kPanel + i) * row_bytes : nullptr;
      std::byte* const out = memory.data() + p * matrix.panel_bytes;
      if (!coded) {
        part.pack_panel(dtype, k, src_dtype, rows, out);
        continue;
      }
      const std::int64_t spills = part.pack_coded_panel(k, src_dtype, rows, out, nullptr, 0);
      if (spills == 0) continue;
      spilled.push_back(std::make_unique<std::byte[]>(static_cast<std::size_t>(spills * kSpillBytes)));
      part.pack_coded_panel(k, src_dtype, rows, out, spilled.back().get(), spills);
      spilled_parts += spills;
    }
  }
  Aligned memory;
  PackedMatrix matrix;
  std::vector<std::unique_ptr<std::byte[]>> spilled;
  std::int64_t spilled_parts = 0;

 private:
  Weight(std::int64_t n, std::int64_t k, DType dtype, bool coded, std::int64_t panel_bytes)
      : memory((n + kPanel - 1) / kPanel * panel_bytes),
        matrix{.dtype = dtype, .n = n, .k = k, .panel_bytes = panel_bytes, .data = memory.data(), .coded = coded} {}
};

/// Rows of `dtype`, off by one byte from any alignment: a mapped file's rows lie anywhere.
struct Stored {
  Stored(DType dtype, const std::vector<float>& w) : bytes(w.size() * (dtype == DType::kF32 ? 4 : 2)) {
    for (std::size_t i = 0; i < w.size(); ++i) {
      const std::uint16_t half = dtype == DType::kBF16 ? tensor::to_bf16(w[i]) : tensor::to_f16(w[i]);
      if (dtype == DType::kF32)
        std::memcpy(bytes.data() + i * 4, &w[i], 4);
      else
        std::memcpy(bytes.data() + i * 2, &half, 2);
    }
  }
  Bytes bytes;
};

struct Call {
  Epilogue epilogue = Epilogue::kStore;
  const float* bias = nullptr;
  std::int64_t panels_a_call = 1000000;
};

/// y (+)= x · wᵀ for m rows of x that are ldx apart.
inline void multiply(const MatmulPart& part, const PackedMatrix& w, const float* x, std::int64_t m, std::int64_t ldx,
                     float* y, std::int64_t ldy, Call call = {}) {
  MatmulTask task{.weight = w, .layout = part.activation_layout(w.dtype, m, w.k)};
  Aligned activations(task.layout.bytes());
  for (std::int64_t b = 0; b < task.layout.blocks(); ++b) {
    part.pack_activations(task.layout, b, x + b * task.layout.row_block * ldx, ldx, activations.data());
  }
  task.activations = activations.data();
  task.y = y;
  task.ldy = ldy;
  task.bias = call.bias;
  task.epilogue = call.epilogue;
  for (std::int64_t p = 0; p < w.panels(); p += call.panels_a_call) {
    part.matmul(task, p, std::min(w.panels(), p + call.panels_a_call));
  }
}

}  // namespace tenon::kernels::test
