// Float matmul for any CPU: plain loops that compilers vectorize over a panel's columns. bfloat16 weights are widened;
// their activations are floats that were rounded to bfloat16. Products are rounded before they are added, since
// emulating a fused operation is slow where the CPU has none.
#include "kernels/portable/matmul_float.h"

#include <bit>

#include "kernels/portable/rows_simd.h"

namespace tenon::kernels {
namespace portable_isa {
namespace {

struct FloatIsa {
  using Simd = portable_isa::Simd;
  static constexpr int kMaxRows = 4, kMaxCodedBlocks = 0;
  static constexpr std::int64_t kCachedBytes = 128 * 1024;
  template <DType T>
  static constexpr int kActivationBytes = 4;

  using Word = std::uint32_t;
  static constexpr int kWords = 1;

  static Word load_words(const std::byte* p) {
    Word word;
    std::memcpy(&word, p, sizeof word);
    return word;
  }
  static Word load_rounded(const std::byte* p) { return Word{round_bf16(p)} << 16; }
  static Word load_pairs(const std::byte* p) { return round_bf16(p) | Word{round_bf16(p + 4)} << 16; }
  static void transpose(Word (&)[kWords]) {}
  static void store_words(std::byte* p, Word v) { std::memcpy(p, &v, sizeof v); }
  static void stream_words(std::byte* p, Word v) { store_words(p, v); }
  static void store_first(std::uint32_t* p, Word v, int) { *p = v; }
  static void fence() {}

  static void widen_fp8(const Fp8Group& group, float* out) {
    for (const auto& codes : group.codes) {
      for (int c = 0; c < kPanel; ++c) *out++ = std::bit_cast<float>(widen_fp8(codes[c], group.scales[c]));
    }
  }

  template <DType T, int kRows, bool>
  [[gnu::noinline]] static void tile(const FloatTile& t) {
    const std::byte* weights = t.weights;
    const float* activations = reinterpret_cast<const float*>(t.activations);
    float sums[kRows][kPanel] = {};
    if (T == DType::kF32 && t.resume) std::memcpy(sums, t.sums, sizeof sums);
    if constexpr (T == DType::kFP8) {
      const auto* group = reinterpret_cast<const Fp8Group*>(t.weights);
      for (std::int64_t k = 0; k < t.k; k += tensor::kFp8Elements, ++group) {
        for (const auto& codes : group->codes) {
          std::uint32_t widened[kPanel];
          for (int c = 0; c < kPanel; ++c) widened[c] = widen_fp8(codes[c], group->scales[c]);
          multiply_add<kRows>(widened, activations, sums);
          activations += t.row_block;
        }
      }
      std::memcpy(t.sums, sums, sizeof sums);
      return;
    }
    for (std::int64_t k = 0; k < t.k; k += T == DType::kBF16 ? 2 : 1, weights += kPanel * 4) {
      std::uint32_t words[kPanel];
      std::memcpy(words, weights, sizeof words);
      if constexpr (T == DType::kBF16) {
        std::uint32_t widened[kPanel];
        for (int c = 0; c < kPanel; ++c) widened[c] = words[c] << 16;
        multiply_add<kRows>(widened, activations, sums);
        activations += t.row_block;
        for (int c = 0; c < kPanel; ++c) words[c] &= 0xffff0000u;
      }
      multiply_add<kRows>(words, activations, sums);
      activations += t.row_block;
    }
    std::memcpy(t.sums, sums, sizeof sums);
  }

 private:
  /// The bits of a float: E4M3's fields moved to where a float has them, which is 2^-120 of the value.
  static std::uint32_t widen_fp8(std::uint8_t code, float scale) {
    const float x = std::bit_cast<float>((code & 0x80u) << 24 | (code & 0x7fu) << 20);
    return std::bit_cast<std::uint32_t>(x * 0x1p112f * scale);
  }

  static std::uint16_t round_bf16(const std::byte* p) {
    float x;
    std::memcpy(&x, p, sizeof x);
    return tensor::to_bf16(x);
  }

  template <int kRows>
  static void multiply_add(const std::uint32_t (&weights)[kPanel], const float* activations,
                           float (&sums)[kRows][kPanel]) {
    float w[kPanel];
    std::memcpy(w, weights, sizeof w);
    for (int i = 0; i < kRows; ++i)
      for (int c = 0; c < kPanel; ++c) sums[i][c] += activations[i] * w[c];
  }
};

}  // namespace
}  // namespace portable_isa

constinit const MatmulPart portable_isa::kFloatMatmul = FloatMatmul<portable_isa::FloatIsa>::part();

}  // namespace tenon::kernels
